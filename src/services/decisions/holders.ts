import type { Catalogue } from '../../domain/decision/catalogue.ts';
import { decide } from '../../domain/decision/decide.ts';
import { givingGrants, type Question } from '../../domain/decision/explain.ts';
import { compileAccess, type UserAccess } from '../../domain/decision/user-access.ts';
import { inForce } from '../../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import { formatRevision } from '../../domain/revisions.ts';
import { covers, scopesCovering } from '../../domain/scopes.ts';
import { type Sight, sees } from '../../domain/sight.ts';
import type { Cursors, Page, PageRequest } from '../../storage/pagination.ts';
import {
  type CandidateRow,
  candidatesFor,
  type GrantPosition,
  grantsAmong,
  type HeldRow,
} from '../../storage/read-models/holders-rows.ts';
import { readMoment } from '../../storage/read-models/moment.ts';
import { allRoleKeys } from '../../storage/roles.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { Call } from '../call.ts';
import { requirePermission, requireRole } from '../lookups.ts';
import { pageOfThose } from './sieved-page.ts';

/** Through what somebody holds a permission: a granted role, or with null an exception that allows it. */
export interface Via {
  readonly role: RoleKey | null;
  readonly scope: Scope;
  readonly expiresAt: Instant | null;
}

export interface Holder {
  readonly user: UserId;
  /** What lies in the caller's sight. */
  readonly via: readonly Via[];
  readonly viaLeftOut: number;
}

export interface Holders {
  /**
   * Who may do something in a scope, in the order in which the users were made. A page may be shorter than its limit,
   * and the next one still have somebody: those who are inactive or denied are passed over, so many at a time. Throws
   * `unknown_permission`.
   */
  ofPermission(
    call: Call,
    permission: PermissionSlug,
    scope: Scope,
    page: PageRequest,
  ): Promise<Page<Holder> & { readonly revision: string }>;
  /**
   * The grants in force by which active users have a role in a scope: of the role itself and of every role that includes
   * it, as far as the caller sees them. In the same order, and with pages that may be as short. Throws `unknown_role`.
   */
  ofRole(call: Call, role: RoleKey, scope: Scope, page: PageRequest): Promise<Page<HeldRow>>;
}

const mostVia = 10;

export function openHolders(transactions: Transactions, cursors: Cursors): Holders {
  return {
    ofPermission: (call, permission, scope, page) =>
      transactions.read(call.deadline, async (handle) => {
        await requirePermission(handle, permission);
        const moment = await readMoment(handle.sql);
        const catalogue = await transactions.catalogueAt(handle, moment);
        const roles = (await allRoleKeys(handle)).filter((role) => catalogue.gives(role, permission));
        const scopes = scopesCovering(scope);
        const found = await pageOfThose<CandidateRow, Holder>(cursors, page, {
          list: `holders of ${permission} in ${scope}`,
          read: (position, limit) => {
            const after = position === null ? 0 : Number(position);
            return candidatesFor(handle.sql, permission, { roles, scopes, after, limit });
          },
          positionOf: ({ pk }) => String(pk),
          keep({ id, access }) {
            const question = { permission, scope, at: moment.now };
            const holding = holdingOf(catalogue, access, question, call.sight);
            return holding && { user: id, ...holding };
          },
        });
        return { ...found, revision: formatRevision(moment.revision) };
      }),

    ofRole: (call, role, scope, page) =>
      transactions.read(call.deadline, async (handle) => {
        await requireRole(handle, role);
        const moment = await readMoment(handle.sql);
        const catalogue = await transactions.catalogueAt(handle, moment);
        const roles = (await allRoleKeys(handle)).filter((other) => catalogue.closureOf(other).has(role));
        const scopes = scopesCovering(scope);
        return pageOfThose<HeldRow, HeldRow>(cursors, page, {
          list: `effective holders of ${role} in ${scope}`,
          read: (position, limit) => {
            const after = position === null ? ([0, 0] as const) : (JSON.parse(position) as GrantPosition);
            return grantsAmong(handle.sql, { roles, scopes, after, limit });
          },
          positionOf: ({ userPk, pk }) => JSON.stringify([userPk, pk]),
          keep: (held) =>
            held.active && inForce(held, moment.now) && sees(call.sight, held.scope) ? held : undefined,
        });
      }),
  };
}

/** Through what somebody holds a permission, as far as it is seen; undefined if they do not. */
export function holdingOf(
  catalogue: Catalogue,
  access: UserAccess,
  { permission, scope, at }: Question,
  sight: Sight,
): Pick<Holder, 'via' | 'viaLeftOut'> | undefined {
  if (!decide(catalogue, compileAccess(catalogue, access, at), permission, scope).allowed) return undefined;
  const grants = givingGrants(catalogue, access.grants, permission, scope);
  const allows = access.exceptions.filter(
    (exception) =>
      exception.effect === 'allow' && exception.permission === permission && covers(exception.scope, scope),
  );
  const via = [...grants, ...allows.map((exception) => ({ role: null, ...exception }))]
    .filter((held) => inForce(held, at))
    .map(({ role, scope: place, expiresAt }) => ({ role, scope: place, expiresAt }));
  const shown = via.filter((held) => sees(sight, held.scope)).slice(0, mostVia);
  return { via: shown, viaLeftOut: via.length - shown.length };
}
