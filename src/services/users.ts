import { v7 as uuidv7 } from 'uuid';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal-entries.ts';
import { everywhere } from '../domain/scopes.ts';
import { commonSight, isUnlimited, type Sight, seesEverything } from '../domain/sight.ts';
import { apiKeysOfUser, deleteApiKeysOf } from '../storage/api-keys.ts';
import { erasePersonal, keysEverNamed } from '../storage/erasure.ts';
import { endExceptions } from '../storage/exceptions.ts';
import { endGrants } from '../storage/grants.ts';
import { deleteIdentity, identitiesOf } from '../storage/identities.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import {
  deleteUser,
  findUser,
  insertUser,
  listUsers,
  type UserFilter,
  type UserRow,
  updateUser,
} from '../storage/users.ts';
import { requireAdministrator } from './administrator-floor.ts';
import { type Call, granterOf, writeContextOf } from './call.ts';
import { giveDefaultRole } from './default-role.ts';
import { recordExceptionRemoval } from './exceptions.ts';
import { recordRemoval } from './grant-record.ts';
import { guardChange, type Reach } from './guard.ts';
import { recordIdentity, type User, withIdentities } from './identities.ts';
import { requireUser, unknownUser } from './lookups.ts';

export interface UserListFilter extends Omit<UserFilter, 'holdingIn'> {
  /** Who has something there or below. */
  readonly scope?: Scope | undefined;
}

/** With the roles that were given along. */
export interface NewUser extends User {
  readonly roles: readonly RoleKey[];
}

export interface UserChange {
  readonly email?: string | null | undefined;
  readonly active?: boolean | undefined;
}

/** Says nothing of who was erased, so that it may be kept. */
export interface Erased {
  /** How many had the id, one after the other. */
  readonly users: number;
  /** Personal values that were deleted from beside the record. */
  readonly values: number;
}

export interface Users {
  /** Whoever does not see everything sees those who have a grant or an exception in sight. */
  list(call: Call, filter: UserListFilter, page: PageRequest): Promise<Page<UserRow>>;
  /** Throws `unknown_user`, also for somebody who has nothing in sight. */
  get(call: Call, id: UserId): Promise<User>;
  /**
   * Throws `user_exists` or `email_taken`. Without an id the user gets a UUIDv7. They get the default role too, if there is
   * one; what that gives was guarded when it was set.
   */
  create(
    call: Call,
    user: { readonly id?: UserId | undefined; readonly email: string | null; readonly active: boolean },
  ): Promise<Written<NewUser>>;
  /** Deactivating denies at once and keeps every grant; reactivating gives them all back, and is guarded as giving. */
  update(call: Call, id: UserId, change: UserChange): Promise<Written<User>>;
  /**
   * Closes grants, exceptions, identities and keys, each with its entry; the record of them stays. Guarded as taking what
   * the user has and as lifting what they are denied: the id may be used again.
   */
  remove(call: Call, id: UserId): Promise<Written<{ readonly user: UserId }>>;
  /**
   * Deletes the user if they exist, and whatever is personal of everybody who ever had the id: the record keeps what
   * happened, to somebody whom it can name no more. Throws `unknown_user` where nothing is known of the id.
   */
  erase(call: Call, id: UserId): Promise<Written<Erased>>;
}

const manage = 'rolecall_manage_users' as const;

export function openUsers(transactions: Transactions, cursors: Cursors): Users {
  /** One guarded change of one user that exists. */
  function change<T>(
    call: Call,
    id: UserId,
    reachOf: (user: UserRow) => readonly Reach[],
    work: (handle: WriteHandle, user: UserRow) => Promise<T>,
  ): Promise<Written<T>> {
    return transactions.write(writeContextOf(call), async (handle) => {
      const user = await requireUser(handle, id);
      await guardChange(handle, call, manage, everywhere, reachOf(user));
      return work(handle, user);
    });
  }

  return {
    list: (call, filter, page) =>
      transactions.read(call.deadline, async (handle) => {
        const { email, idPrefix, active, scope } = filter;
        const list = `users ${JSON.stringify([email, idPrefix, active, scope])}`;
        const isWhole = scope === undefined && isUnlimited(call.sight);
        const holdingIn = isWhole ? undefined : commonSight(call.sight, sightOf(scope));
        const wanted = { email, idPrefix, active, holdingIn };
        const rows = await listUsers(handle, wanted, cursors.positionOf(list, page), page.limit);
        return cursors.pageOf(list, page, rows, (row) => row.id);
      }),

    get: (call, id) =>
      transactions.read(call.deadline, async (handle) => {
        const user = await findUser(handle, id, isUnlimited(call.sight) ? undefined : call.sight);
        if (!user) throw unknownUser();
        return withIdentities(handle, user);
      }),

    create: (call, { id = uuidv7() as UserId, email, active }) =>
      transactions.write(writeContextOf(call), async (handle) => {
        await guardChange(handle, call, manage, everywhere);
        const user = await createUser(handle, { id, email, active });
        return { ...user, roles: await giveDefaultRole(handle, user.pk, granterOf(call)) };
      }),

    update: (call, id, { email, active }) => {
      const flips = (user: UserRow) => active !== undefined && active !== user.active;
      return change(
        call,
        id,
        (user) => (flips(user) ? [{ user: id }] : []),
        async (handle, user) => {
          const renames = email !== undefined && email !== user.email;
          if (!flips(user) && !renames) return withIdentities(handle, user);
          const updated = await updateUser(handle, user.pk, { email, active });
          handle.record({
            kind: 'user_updated',
            userPk: user.pk,
            before: { active: user.active },
            after: { active: updated.active, emailChanged: renames },
            personal: renames ? { emailBefore: user.email ?? '', email: updated.email ?? '' } : {},
          });
          if (!updated.active) await requireAdministrator(handle, call);
          return withIdentities(handle, updated);
        },
      );
    },

    remove: (call, id) =>
      change(
        call,
        id,
        () => [{ user: id, lifting: true }],
        async (handle, user) => {
          await closeUser(handle, user);
          await requireAdministrator(handle, call);
          return { user: id };
        },
      ),

    erase: (call, id) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const user = await findUser(handle, id);
        const reach = user ? [{ user: id, lifting: true }] : [];
        await guardChange(handle, call, 'rolecall_erase_users', everywhere, reach);
        const keys = [...(await keysEverNamed(handle.sql, [id])).keys()];
        if (keys.length === 0) await requireUser(handle, id);
        // What is recorded of the closing must not bring back what is erased beside it.
        if (user) await closeUser({ ...handle, record: (entry) => handle.record(impersonal(entry)) }, user);
        const values = await erasePersonal(handle, keys, id);
        for (const userPk of keys) handle.record({ kind: 'user_erased', userPk });
        if (user) await requireAdministrator(handle, call);
        return { users: keys.length, values };
      }),
  };
}

/** Makes a user and notes it; the guard is the caller's business. */
export async function createUser(
  handle: WriteHandle,
  user: { readonly id: UserId; readonly email: string | null; readonly active: boolean },
): Promise<User> {
  const row = await insertUser(handle, user);
  handle.record({
    kind: 'user_created',
    userPk: row.pk,
    after: { active: row.active },
    personal: { id: row.id, ...(row.email === null ? {} : { email: row.email }) },
  });
  return { ...row, identities: [] };
}

function sightOf(scope: Scope | undefined): Sight {
  return scope === undefined ? seesEverything : { scopes: [scope], denied: [] };
}

/** Ends all that a user holds, each with its entry, and then the user. */
async function closeUser(handle: WriteHandle, { pk, id, active }: UserRow): Promise<void> {
  for (const grant of await endGrants(handle, { userPk: pk })) recordRemoval(handle, pk, grant);
  for (const exception of await endExceptions(handle, { userPk: pk }))
    recordExceptionRemoval(handle, pk, exception);
  for (const identity of await identitiesOf(handle, pk)) {
    await deleteIdentity(handle, pk, identity);
    recordIdentity(handle, 'identity_unlinked', pk, identity);
  }
  for (const key of await apiKeysOfUser(handle, pk))
    handle.record({ kind: 'key_revoked', userPk: pk, before: { key: key.id } });
  await deleteApiKeysOf(handle, pk);
  await deleteUser(handle, pk);
  // The id once more: erasing finds people by it, and the one beside `user_created` may have been purged.
  handle.record({ kind: 'user_deleted', userPk: pk, before: { active }, personal: { id } });
}

function impersonal({ personal, ...entry }: JournalEntry): JournalEntry {
  return entry;
}
