import { randomBytes } from 'node:crypto';
import { base62, formatApiKey, hashSecret } from '../domain/api-keys.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import { administratorRole, builtinSlugs } from '../domain/matrix/builtin.ts';
import { everywhere } from '../domain/scopes.ts';
import { administratorRemains } from '../storage/administrators.ts';
import {
  type ApiKeyRow,
  endApiKeyIn,
  findApiKey,
  insertApiKey,
  keyStands,
  listApiKeys,
  revokeApiKey,
} from '../storage/api-keys.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { findUser } from '../storage/users.ts';
import { type Call, granterOf, writeContextOf } from './call.ts';
import { giveForGood } from './grant-changes.ts';
import { guardChange, type KeyReach } from './guard.ts';
import { requirePermission, requireUser } from './lookups.ts';
import { createUser } from './users.ts';

export type { ApiKeyRow };

/** A key as it was just made: the only time that its secret is known. */
export interface NewApiKey extends ApiKeyRow {
  /** The whole key, `rc_…`; null for a dry run, and when a repeated request is answered: nobody knows it any more. */
  readonly key: string | null;
}

export interface KeyTerms {
  readonly user: UserId;
  readonly name: string;
  readonly permissions: readonly PermissionSlug[] | null;
  readonly scope: Scope;
  readonly expiresAt: Instant | null;
}

/** How one key takes the place of another. */
export interface Rotation {
  /** Seconds for which both work, unless the old one ends sooner. */
  readonly overlap: number;
  /** When the new one ends; left out, when the old one would have. */
  readonly expiresAt?: Instant | null | undefined;
}

export interface ApiKeys {
  /** Keys that work in sight of the caller. */
  list(
    call: Call,
    filter: { readonly user?: UserId | undefined },
    page: PageRequest,
  ): Promise<Page<ApiKeyRow>>;
  /**
   * A key gives whoever has it what its list names, in its scope: guarded as giving just that, whether its user has it yet
   * or not. Without a list it grows with its user, so for anybody but oneself that needs `rolecall_escalate`.
   */
  create(call: Call, terms: KeyTerms): Promise<Written<NewApiKey>>;
  /**
   * A new key in the place of another, which ends after the overlap: guarded as making the new one. Throws `unknown_key`,
   * and `key_ended` for one that works no more.
   */
  rotate(call: Call, id: string, rotation: Rotation): Promise<Written<NewApiKey>>;
  /** Throws `unknown_key`. Revoking twice changes nothing. */
  revoke(call: Call, id: string): Promise<Written<ApiKeyRow>>;
  /**
   * For the operator: a key for a user who is made if absent and given `role`, if any, everywhere. With the role admin
   * this makes the first administrator of an installation and throws `forbidden` once there is one.
   */
  provision(call: Call, user: UserId, role: RoleKey | null): Promise<Written<NewApiKey>>;
}

const manage = 'rolecall_manage_keys' as const;

export function openApiKeys(transactions: Transactions, cursors: Cursors): ApiKeys {
  return {
    list: (call, filter, page) =>
      transactions.read(call.deadline, async (handle) => {
        const list = `keys ${JSON.stringify(filter.user ?? null)}`;
        const rows = await listApiKeys(
          handle,
          filter,
          call.sight,
          cursors.positionOf(list, page),
          page.limit,
        );
        return cursors.pageOf(list, page, rows, (row) => row.id);
      }),

    create: (call, terms) =>
      transactions.write(
        writeContextOf(call),
        async (handle) => {
          await guardChange(handle, call, manage, terms.scope, [{ key: reachOf(terms), does: 'make' }]);
          const user = await requireUser(handle, terms.user);
          for (const slug of terms.permissions ?? []) await requirePermission(handle, slug);
          return createKey(handle, call, user.pk, terms);
        },
        withoutSecret,
      ),

    rotate: (call, id, { overlap, expiresAt }) =>
      transactions.write(
        writeContextOf(call),
        async (handle) => {
          const old = await requireKey(handle, id);
          const terms = { ...old, expiresAt: expiresAt === undefined ? old.expiresAt : expiresAt };
          await guardChange(handle, call, manage, old.scope, [{ key: reachOf(terms), does: 'make' }]);
          if (!(await keyStands(handle.sql, old.pk)))
            throw new RolecallError('key_ended', 'this key was revoked or has ended: make a new one');
          const { pk: userPk } = await requireUser(handle, old.user);
          await endApiKeyIn(handle, old.pk, overlap);
          const made = await createKey(handle, call, userPk, terms);
          const ended = await requireKey(handle, id);
          handle.record({
            kind: 'key_rotated',
            userPk,
            before: { key: id, expiresAt: old.expiresAt },
            after: { key: id, expiresAt: ended.expiresAt, successor: made.id },
          });
          return made;
        },
        withoutSecret,
      ),

    revoke: (call, id) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const key = await requireKey(handle, id);
        await guardChange(handle, call, manage, key.scope, [{ key: reachOf(key), does: 'revoke' }]);
        if (key.revokedAt !== null) return key;
        await revokeApiKey(handle, key.pk);
        const { pk: userPk } = await requireUser(handle, key.user);
        handle.record({ kind: 'key_revoked', userPk, before: { key: id } });
        return requireKey(handle, id);
      }),

    provision: (call, userId, roleKey) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const user =
          (await findUser(handle, userId)) ??
          (await createUser(handle, { id: userId, email: null, active: true }));
        if (!user.active)
          throw new RolecallError(
            'forbidden',
            `the user "${userId}" is inactive: no key of theirs would be valid`,
          );
        if (roleKey !== null) await provisionRole(handle, call, user, roleKey);
        return createKey(handle, call, user.pk, {
          user: userId,
          name: 'made on the command line',
          permissions: null,
          scope: everywhere,
          expiresAt: null,
        });
      }),
  };
}

async function requireKey(handle: WriteHandle, id: string): Promise<ApiKeyRow> {
  const key = await findApiKey(handle, id);
  if (!key) throw new RolecallError('unknown_key', 'there is no key with this id');
  return key;
}

function reachOf({ user, permissions, scope, expiresAt }: Omit<KeyTerms, 'name'>): KeyReach {
  return { user, narrowedTo: permissions && new Set(permissions), within: scope, until: expiresAt };
}

/** What may be kept of a key for whoever repeats the request that made it. */
function withoutSecret(made: NewApiKey): NewApiKey {
  return { ...made, key: null };
}

async function provisionRole(
  handle: WriteHandle,
  call: Call,
  user: { readonly pk: number; readonly id: UserId },
  roleKey: RoleKey,
): Promise<void> {
  if (roleKey === administratorRole && (await administratorRemains(handle, administratorRole, builtinSlugs)))
    throw new RolecallError(
      'forbidden',
      'there is an administrator already: only they can make another, through the API',
    );
  await giveForGood(handle, call, user, roleKey, null);
}

/** Makes a key and notes it; the guard is the caller's business. */
export async function createKey(
  handle: WriteHandle,
  call: Call,
  userPk: number,
  terms: KeyTerms,
): Promise<NewApiKey> {
  const id = base62(12, randomBytes);
  const secret = base62(43, randomBytes);
  const { name, permissions, scope, expiresAt } = terms;
  const row = await insertApiKey(handle, {
    id,
    userPk,
    name,
    secretHash: hashSecret(secret),
    permissions,
    scope,
    expiresAt,
    createdBy: granterOf(call),
  });
  handle.record({
    kind: 'key_created',
    userPk,
    after: { key: id, permissions, scope, expiresAt },
    personal: { name },
  });
  return { ...row, key: call.dryRun ? null : formatApiKey({ id, secret }) };
}
