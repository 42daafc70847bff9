import type { Identity } from '../domain/identities.ts';
import type { UserId } from '../domain/ids.ts';
import { everywhere } from '../domain/scopes.ts';
import type { ReadHandle } from '../storage/database.ts';
import { deleteIdentity, identitiesOf, insertIdentity } from '../storage/identities.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import type { UserRow } from '../storage/users.ts';
import { type Call, writeContextOf } from './call.ts';
import type { Claims } from './claims.ts';
import { guardChange } from './guard.ts';
import { requireUser } from './lookups.ts';

/** A user with the identities by which providers know them. */
export interface User extends UserRow {
  readonly identities: readonly Identity[];
}

export interface Identities {
  /**
   * Throws `unknown_user` or `identity_taken`. Linking lets whoever comes with the identity act as the user, and is
   * guarded as giving.
   */
  link(call: Call, user: UserId, identity: Identity): Promise<Written<User>>;
  /** What the claims of its tokens gave ends with it. Throws `unknown_user`. */
  unlink(call: Call, user: UserId, identity: Identity): Promise<Written<User>>;
}

export function openIdentities(transactions: Transactions, claims: Claims): Identities {
  /** One guarded change of the identities of a user that exists. */
  function change(
    call: Call,
    id: UserId,
    entry: boolean,
    work: (handle: WriteHandle, user: UserRow) => Promise<void>,
  ): Promise<Written<User>> {
    return transactions.write(writeContextOf(call), async (handle) => {
      const user = await requireUser(handle, id);
      await guardChange(handle, call, 'rolecall_manage_users', everywhere, [{ user: id, entry }]);
      await work(handle, user);
      return withIdentities(handle, user);
    });
  }

  return {
    link: (call, id, identity) =>
      change(call, id, true, async (handle, user) => {
        if (has(await identitiesOf(handle, user.pk), identity)) return;
        await insertIdentity(handle, user.pk, identity);
        recordIdentity(handle, 'identity_linked', user.pk, identity);
      }),

    unlink: (call, id, identity) =>
      change(call, id, false, async (handle, user) => {
        if (!(await deleteIdentity(handle, user.pk, identity))) return;
        recordIdentity(handle, 'identity_unlinked', user.pk, identity);
        await claims.settle(handle, [user.pk]);
      }),
  };
}

/** The user as they are shown: with their identities as of this read. */
export async function withIdentities(handle: ReadHandle, user: UserRow): Promise<User> {
  return { ...user, identities: await identitiesOf(handle, user.pk) };
}

/** Notes that an identity was linked or unlinked, wherever that happens. */
export function recordIdentity(
  handle: WriteHandle,
  kind: 'identity_linked' | 'identity_unlinked',
  userPk: number,
  { issuer, subject }: Identity,
): void {
  const side = kind === 'identity_linked' ? 'after' : 'before';
  handle.record({ kind, userPk, [side]: { issuer }, personal: { subject } });
}

function has(identities: readonly Identity[], wanted: Identity): boolean {
  return identities.some(({ issuer, subject }) => issuer === wanted.issuer && subject === wanted.subject);
}
