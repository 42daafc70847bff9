import { createHash } from 'node:crypto';
import { exchanged, type Grant, reasonOf, sameTerms, type Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { Json } from '../domain/journal-entries.ts';
import { administratorRole } from '../domain/matrix/builtin.ts';
import { covers, scopesCovering } from '../domain/scopes.ts';
import { sees } from '../domain/sight.ts';
import type { ReadHandle } from '../storage/database.ts';
import {
  deleteGrant,
  findPlace,
  type GrantRow,
  grantsOfRole,
  grantsOfUser,
  type HolderPosition,
  putGrant,
} from '../storage/grants.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, granterNameOf, granterOf, writeContextOf } from './call.ts';
import { type EffectiveChange, effectiveChange } from './decisions/effective-change.ts';
import { readPower, requireAdministrator, requirePower } from './guard.ts';
import { requireRole, requireUser } from './lookups.ts';

export type { GrantRow };

/** What a change of one grant did to its user, in the grant's scope. */
export interface GrantOutcome extends EffectiveChange {
  readonly user: UserId;
  readonly created: boolean;
  readonly grant: Omit<GrantRow, 'pk'> | null;
}

export interface Grants {
  /** Gives the role at the scope, or gives the grant that is there new terms. */
  put(call: Call, user: UserId, role: RoleKey, scope: Scope, terms: Terms): Promise<Written<GrantOutcome>>;
  /** Takes back the role that was given through the API at exactly this scope; nothing to take back changes nothing. */
  remove(call: Call, user: UserId, role: RoleKey, scope: Scope): Promise<Written<GrantOutcome>>;
  /**
   * Every grant of the user at the scope and below that is in sight, those out of force too, and the version that
   * replacing all of those there needs.
   */
  ofUser(
    call: Call,
    user: UserId,
    scope: Scope,
  ): Promise<{ readonly grants: readonly GrantRow[]; readonly version: string }>;
  /** Every grant in sight of the role itself, those out of force too: in any scope, or those that reach into one. */
  ofRole(call: Call, role: RoleKey, scope: Scope | null, page: PageRequest): Promise<Page<GrantRow>>;
}

export function openGrants(transactions: Transactions, cursors: Cursors): Grants {
  return {
    put: (call, userId, roleKey, scope, terms) =>
      transactions.writeTogether(writeContextOf(call), async (handle) => {
        const { userPk, rolePk, existing, power } = await find(handle, call, userId, roleKey, scope);
        const windows = existing ? [existing, terms] : [terms];
        const reach = windows.map((window) => ({ role: roleKey, scope, window }));
        requirePower(power, call, 'rolecall_grant_roles', scope, reach);
        const isNew = !existing || !sameTerms(existing, terms);
        const given: Grant = { ...terms, role: roleKey, scope };
        const done = effectiveChange(power, userId, scope, (access) =>
          isNew ? { ...access, grants: exchanged(access.grants, existing, given) } : access,
        );
        if (!isNew) return { user: userId, created: false, grant: existing, ...done };
        recordGrant(handle, { userPk, rolePk }, existing, { ...terms, role: roleKey, scope });
        const place = { userPk, rolePk, scope };
        const grantedAt = power.now;
        putGrant(handle, place, terms, granterOf(call), grantedAt);
        if (existing && roleKey === administratorRole) await requireAdministrator(handle, call);
        const grantedBy = granterNameOf(call);
        const grant = { ...place, ...given, ...terms, user: userId, origin: 'api', grantedBy, grantedAt };
        return { user: userId, created: !existing, grant, ...done };
      }),

    remove: (call, userId, roleKey, scope) =>
      transactions.writeTogether(writeContextOf(call), async (handle) => {
        const { userPk, existing, power } = await find(handle, call, userId, roleKey, scope);
        const reach = existing ? [{ role: roleKey, scope, window: existing }] : [];
        requirePower(power, call, 'rolecall_grant_roles', scope, reach);
        const done = effectiveChange(power, userId, scope, (access) =>
          existing ? { ...access, grants: exchanged(access.grants, existing, null) } : access,
        );
        if (existing) {
          recordRemoval(handle, userPk, existing);
          deleteGrant(handle, existing.pk);
          if (roleKey === administratorRole) await requireAdministrator(handle, call);
        }
        return { user: userId, created: false, grant: null, ...done };
      }),

    ofUser: (call, userId, scope) =>
      transactions.read(call.deadline, async (handle) => {
        const { pk } = await requireUser(handle, userId);
        const standing = await grantsWithin(handle, pk, scope);
        const grants = standing.filter((grant) => sees(call.sight, grant.scope));
        return { grants, version: versionOf(standing) };
      }),

    ofRole: (call, roleKey, scope, page) =>
      transactions.read(call.deadline, async (handle) => {
        const role = await requireRole(handle, roleKey);
        const list = scope === null ? `grants of ${roleKey}` : `grants of ${roleKey} in ${scope}`;
        const after = cursors.positionOf(list, page);
        const position = after === null ? null : (JSON.parse(after) as HolderPosition);
        const scopes = scope === null ? null : scopesCovering(scope);
        const rows = await grantsOfRole(handle, role.pk, call.sight, scopes, position, page.limit);
        return cursors.pageOf(list, page, rows, (row) => JSON.stringify([row.user, row.scope, row.origin]));
      }),
  };
}

/** A grant as the record tells of it. */
type Told = Terms & { readonly role: RoleKey; readonly scope: Scope; readonly origin: string };

/** Notes that a grant was given, or given new terms. */
export function recordGrant(
  handle: WriteHandle,
  { userPk, rolePk }: { readonly userPk: number; readonly rolePk: number },
  before: Told | null,
  after: Omit<Told, 'origin'>,
  origin = 'api',
): void {
  handle.record({
    kind: 'grant_set',
    userPk,
    rolePk,
    before: before ? termsOf(before) : null,
    after: termsOf({ ...after, origin }),
    personal: reasonOf(after),
  });
}

/** Notes that a grant ended, wherever that happens. */
export function recordRemoval(
  handle: WriteHandle,
  userPk: number,
  grant: Told & { readonly rolePk: number },
): void {
  handle.record({
    kind: 'grant_removed',
    userPk,
    rolePk: grant.rolePk,
    before: termsOf(grant),
    personal: reasonOf(grant),
  });
}

/** All that a change of one grant must know, asked at once: whatever is waited for is waited for under the lock. */
async function find(handle: WriteHandle, call: Call, userId: UserId, roleKey: RoleKey, scope: Scope) {
  const [{ userPk, rolePk, grant }, power] = await Promise.all([
    findPlace(handle, userId, roleKey, scope),
    readPower(handle, call, [userId]),
  ]);
  return {
    userPk: userPk ?? (await requireUser(handle, userId)).pk,
    rolePk: rolePk ?? (await requireRole(handle, roleKey)).pk,
    existing: grant,
    power,
  };
}

/** What the record says of a grant. */
function termsOf({ role, scope, origin, startsAt, expiresAt }: Told): Json {
  return { role, scope, origin, startsAt, expiresAt };
}

/** A user's grants at the scope and below, of every origin. */
export async function grantsWithin(
  handle: ReadHandle,
  userPk: number,
  scope: Scope,
): Promise<readonly GrantRow[]> {
  return (await grantsOfUser(handle, userPk)).filter((grant) => covers(scope, grant.scope));
}

/** Names a state of a user's grants at a scope and below, as `replace` wants it back: another state has another name. */
export function versionOf(grants: readonly GrantRow[]): string {
  const told = grants
    .filter(({ origin }) => origin === 'api')
    .map(({ pk, startsAt, expiresAt, reason }) => [pk, startsAt, expiresAt, reason]);
  return createHash('sha256').update(JSON.stringify(told)).digest('base64url').slice(0, 22);
}
