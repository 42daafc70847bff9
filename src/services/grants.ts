import { reasonOf, sameTerms, type Terms } from '../domain/grants.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { Json } from '../domain/journal-entries.ts';
import { administratorRole } from '../domain/matrix/builtin.ts';
import { scopesCovering } from '../domain/scopes.ts';
import {
  deleteGrant,
  findGrant,
  type GrantRow,
  grantsOfRole,
  grantsOfUser,
  type HolderPosition,
  putGrant,
} from '../storage/grants.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, granterOf, writeContextOf } from './call.ts';
import { permissionsNow, without } from './decisions/effective-change.ts';
import { guardChange, requireAdministrator } from './guard.ts';
import { requireRole, requireUser } from './lookups.ts';

export type { GrantRow };

/** What a change of one grant did to its user, in the grant's scope. */
export interface GrantOutcome {
  readonly user: UserId;
  readonly created: boolean;
  readonly grant: GrantRow | null;
  readonly permissions: readonly PermissionSlug[];
  readonly gained: readonly PermissionSlug[];
  readonly lost: readonly PermissionSlug[];
}

export interface Grants {
  /** Gives the role at the scope, or gives the grant that is there new terms. */
  put(call: Call, user: UserId, role: RoleKey, scope: Scope, terms: Terms): Promise<Written<GrantOutcome>>;
  /** Takes back the role that was given through the API at exactly this scope; nothing to take back changes nothing. */
  remove(call: Call, user: UserId, role: RoleKey, scope: Scope): Promise<Written<GrantOutcome>>;
  ofUser(call: Call, user: UserId): Promise<readonly GrantRow[]>;
  /** Every grant of the role itself, those out of force too: in any scope, or those that reach into one. */
  ofRole(call: Call, role: RoleKey, scope: Scope | null, page: PageRequest): Promise<Page<GrantRow>>;
}

export function openGrants(transactions: Transactions, cursors: Cursors): Grants {
  return {
    put: (call, userId, roleKey, scope, terms) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const user = await requireUser(handle, userId);
        const role = await requireRole(handle, roleKey);
        const place = { userPk: user.pk, rolePk: role.pk, scope };
        const existing = await findGrant(handle, place);
        const windows = existing ? [existing, terms] : [terms];
        await guardChange(
          handle,
          call,
          'rolecall_grant_roles',
          scope,
          windows.map((window) => ({ role: roleKey, scope, window })),
        );
        if (existing && sameTerms(existing, terms))
          return outcome(handle, { user: userId, scope, grant: existing, created: false });
        const before = await permissionsNow(handle, userId, scope);
        await putGrant(handle, place, terms, granterOf(call));
        const grant = await findGrant(handle, place);
        handle.record({
          kind: 'grant_set',
          userPk: user.pk,
          rolePk: role.pk,
          before: existing ? termsOf(existing) : null,
          after: termsOf({ ...terms, role: roleKey, scope, origin: 'api' }),
          personal: reasonOf(terms),
        });
        if (existing && roleKey === administratorRole) await requireAdministrator(handle, call);
        return outcome(handle, { user: userId, scope, grant: grant ?? null, created: !existing, before });
      }),

    remove: (call, userId, roleKey, scope) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const user = await requireUser(handle, userId);
        const role = await requireRole(handle, roleKey);
        const existing = await findGrant(handle, { userPk: user.pk, rolePk: role.pk, scope });
        const reach = existing ? [{ role: roleKey, scope, window: existing }] : [];
        await guardChange(handle, call, 'rolecall_grant_roles', scope, reach);
        if (!existing) return outcome(handle, { user: userId, scope, grant: null, created: false });
        const before = await permissionsNow(handle, userId, scope);
        await deleteGrant(handle, existing.pk);
        recordRemoval(handle, user.pk, existing);
        if (roleKey === administratorRole) await requireAdministrator(handle, call);
        return outcome(handle, { user: userId, scope, grant: null, created: false, before });
      }),

    ofUser: (call, userId) =>
      transactions.read(call.deadline, async (handle) =>
        grantsOfUser(handle, (await requireUser(handle, userId)).pk),
      ),

    ofRole: (call, roleKey, scope, page) =>
      transactions.read(call.deadline, async (handle) => {
        const role = await requireRole(handle, roleKey);
        const list = scope === null ? `grants of ${roleKey}` : `grants of ${roleKey} in ${scope}`;
        const after = cursors.positionOf(list, page);
        const position = after === null ? null : (JSON.parse(after) as HolderPosition);
        const scopes = scope === null ? null : scopesCovering(scope);
        const rows = await grantsOfRole(handle, role.pk, scopes, position, page.limit);
        return cursors.pageOf(list, page, rows, (row) => JSON.stringify([row.user, row.scope, row.origin]));
      }),
  };
}

/** Notes that a grant ended, wherever that happens. */
export function recordRemoval(handle: WriteHandle, userPk: number, grant: GrantRow): void {
  handle.record({
    kind: 'grant_removed',
    userPk,
    rolePk: grant.rolePk,
    before: termsOf(grant),
    personal: reasonOf(grant),
  });
}

async function outcome(
  handle: WriteHandle,
  done: {
    readonly user: UserId;
    readonly scope: Scope;
    readonly grant: GrantRow | null;
    readonly created: boolean;
    readonly before?: readonly PermissionSlug[];
  },
): Promise<GrantOutcome> {
  const permissions = await permissionsNow(handle, done.user, done.scope);
  const before = done.before ?? permissions;
  return {
    user: done.user,
    created: done.created,
    grant: done.grant,
    permissions,
    gained: without(permissions, before),
    lost: without(before, permissions),
  };
}

/** What the record says of a grant. */
export function termsOf(grant: Terms & { role: RoleKey; scope: Scope; origin: string }): Json {
  const { role, scope, origin, startsAt, expiresAt } = grant;
  return { role, scope, origin, startsAt, expiresAt };
}
