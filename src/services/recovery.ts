import type { UserId } from '../domain/ids.ts';
import { administratorRole, builtinSlugs } from '../domain/matrix/builtin.ts';
import { everywhere } from '../domain/scopes.ts';
import { deleteException, exceptionsOfUser } from '../storage/exceptions.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { findUser, updateUser } from '../storage/users.ts';
import { createKey, type NewApiKey } from './api-keys.ts';
import { type Call, writeContextOf } from './call.ts';
import { recordExceptionRemoval } from './exceptions.ts';
import { giveForGood } from './grant-changes.ts';
import { createUser } from './users.ts';

export interface Recovery {
  /**
   * For the operator, when nobody can administer any more: makes the user administrator whatever stands in the way, and a
   * key for them. They are made if absent, reactivated, no longer denied any of the service's permissions, and have the
   * role admin everywhere and for good. All of it is recorded as the operator's.
   */
  recover(call: Call, user: UserId): Promise<Written<NewApiKey>>;
}

const why = 'recovered on the command line';

export function openRecovery(transactions: Transactions): Recovery {
  return {
    recover: (call, userId) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const user =
          (await findUser(handle, userId)) ??
          (await createUser(handle, { id: userId, email: null, active: true }));
        if (!user.active) await reactivate(handle, user.pk);
        for (const exception of await exceptionsOfUser(handle, user.pk)) {
          if (exception.effect !== 'deny' || !builtinSlugs.includes(exception.permission)) continue;
          await deleteException(handle, exception.pk);
          recordExceptionRemoval(handle, user.pk, exception);
        }
        await giveForGood(handle, call, user, administratorRole, why);
        const terms = { user: userId, name: why, permissions: null, scope: everywhere, expiresAt: null };
        return createKey(handle, call, user.pk, terms);
      }),
  };
}

async function reactivate(handle: WriteHandle, userPk: number): Promise<void> {
  await updateUser(handle, userPk, { active: true });
  const after = { active: true, emailChanged: false };
  handle.record({ kind: 'user_updated', userPk, before: { active: false }, after });
}
