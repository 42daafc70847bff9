import { RolecallError } from '../../domain/errors.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { formatRevision } from '../../domain/revisions.ts';
import { scopesCovering } from '../../domain/scopes.ts';
import type { Cursors, Page, PageRequest } from '../../storage/pagination.ts';
import { everGiven, type PastUser, usersAfter } from '../../storage/read-models/history.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { Call } from '../call.ts';
import { type Holder, holdingOf } from './holders.ts';
import type { Past, PastAnswer } from './past.ts';
import { pageOfThose } from './sieved-page.ts';

/** Somebody who held a permission then; null when they were erased since. */
export interface PastHolder extends Omit<Holder, 'user'> {
  readonly user: UserId | null;
}

export interface PastHolders {
  /** Who could do something in a scope at a moment of the past, as `Holders` says it of now. Throws `unknown_permission`. */
  ofPermission(
    call: Call,
    at: AskedMoment,
    permission: PermissionSlug,
    scope: Scope,
    page: PageRequest,
  ): Promise<Page<PastHolder> & PastAnswer>;
}

export function openPastHolders(transactions: Transactions, cursors: Cursors, past: Past): PastHolders {
  return {
    async ofPermission(call, asked, permission, scope, page) {
      const settled = await past.settle(call.deadline, asked);
      return transactions.read(call.deadline, async (handle) => {
        const { sql } = handle;
        const { revision, at, catalogue, rows } = await past.then(handle, settled);
        const permissionPk = rows.permissionPks.get(permission);
        if (permissionPk === undefined)
          throw new RolecallError('unknown_permission', `there was no permission "${permission}" then`);
        const roles = [...rows.rolePks].flatMap(([role, pk]) =>
          catalogue.gives(role, permission) ? [pk] : [],
        );
        const scopes = scopesCovering(scope);
        const found = await pageOfThose<Candidate, PastHolder>(cursors, page, {
          list: `holders of ${permission} in ${scope} at ${formatRevision(revision)} ${at}`,
          async read(position, limit) {
            const after = position === null ? 0 : Number(position);
            const wanted = { roles, scopes, after, limit };
            const pks = await everGiven(sql, revision.value, permissionPk, wanted);
            const users = await usersAfter(sql, revision.value, pks);
            return pks.map((pk) => ({ pk, user: users.find((one) => one.pk === pk) }));
          },
          positionOf: ({ pk }) => String(pk),
          keep({ user }) {
            const holding = user && holdingOf(catalogue, user.access, { permission, scope, at }, call.sight);
            return holding && { user: user.id, ...holding };
          },
        });
        return { ...found, revision: formatRevision(revision), at };
      });
    },
  };
}

/** Somebody who was ever given it, and whether they existed then. */
interface Candidate {
  readonly pk: number;
  readonly user: PastUser | undefined;
}
