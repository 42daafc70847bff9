import { v7 as uuidv7 } from 'uuid';
import { RolecallError } from '../domain/errors.ts';
import type { Mapping } from '../domain/mappings.ts';
import { everywhere } from '../domain/scopes.ts';
import {
  deleteMapping,
  findMapping,
  findSameMapping,
  insertMapping,
  listMappings,
  type MappingRow,
  mappingsTo,
} from '../storage/mappings.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import type { Claims } from './claims.ts';
import { forGood, guardChange, type Reach } from './guard.ts';
import { requireRole } from './lookups.ts';

export type { MappingRow };

export interface Mappings {
  list(
    call: Call,
    filter: { readonly issuer?: string | undefined },
    page: PageRequest,
  ): Promise<Page<MappingRow>>;
  /**
   * Gives the role to whoever's token says so from now on: guarded as giving it, for good. Saying the same twice changes
   * nothing. Throws `unknown_role`.
   */
  create(
    call: Call,
    mapping: Mapping,
  ): Promise<Written<{ readonly mapping: MappingRow; readonly created: boolean }>>;
  /** Takes the mapping away, and at once what it gave. Guarded as taking the role. Throws `unknown_mapping`. */
  remove(call: Call, id: string): Promise<Written<MappingRow>>;
}

const manage = 'rolecall_manage_mappings' as const;

export function openMappings(transactions: Transactions, cursors: Cursors, claims: Claims): Mappings {
  return {
    list: (call, filter, page) =>
      transactions.read(call.deadline, async (handle) => {
        const list = `mappings ${JSON.stringify(filter.issuer ?? null)}`;
        const rows = await listMappings(handle, filter, cursors.positionOf(list, page), page.limit);
        return cursors.pageOf(list, page, rows, (row) => row.id);
      }),

    create: (call, mapping) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const role = await requireRole(handle, mapping.role);
        await guardChange(handle, call, manage, everywhere, [reachOf(mapping)]);
        const existing = await findSameMapping(handle, role.pk, mapping);
        if (existing) return { mapping: existing, created: false };
        const made = await insertMapping(handle, uuidv7(), role.pk, mapping);
        handle.record({ kind: 'mapping_created', rolePk: role.pk, after: termsOf(made) });
        return { mapping: made, created: true };
      }),

    remove: (call, id) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const mapping = await findMapping(handle, id);
        if (!mapping) throw new RolecallError('unknown_mapping', 'there is no mapping with this id');
        await guardChange(handle, call, manage, everywhere, [reachOf(mapping)]);
        await claims.settle(handle, await end(handle, mapping));
        return mapping;
      }),
  };
}

/** Ends all mappings to a role that is being deleted; the grants they gave are the caller's business. */
export async function endMappingsTo(handle: WriteHandle, rolePk: number): Promise<void> {
  for (const mapping of await mappingsTo(handle, rolePk)) await end(handle, mapping);
}

async function end(handle: WriteHandle, mapping: MappingRow): Promise<readonly number[]> {
  handle.record({ kind: 'mapping_removed', rolePk: mapping.rolePk, before: termsOf(mapping) });
  return deleteMapping(handle, mapping.pk);
}

function reachOf({ role, scope }: Mapping): Reach {
  return { role, scope, window: forGood.window };
}

/** What the record says of a mapping. */
function termsOf({ id, issuer, claim, value, role, scope }: MappingRow) {
  return { mapping: id, issuer, claim, value, role, scope };
}
