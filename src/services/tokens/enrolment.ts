import { v7 as uuidv7 } from 'uuid';
import type { Identity } from '../../domain/identities.ts';
import type { UserId } from '../../domain/ids.ts';
import type { Deadline } from '../../storage/deadline.ts';
import { findOwner, insertIdentity } from '../../storage/identities.ts';
import { readSettings } from '../../storage/settings.ts';
import type { Transactions } from '../../storage/transaction.ts';
import { serviceContext } from '../call.ts';
import { giveDefaultRole } from '../default-role.ts';
import { recordIdentity } from '../identities.ts';
import { createUser } from '../users.ts';

export interface Enrolment {
  /**
   * Makes a user for an identity that nobody has, with the default role if there is one. Of many at once the first makes
   * one for all. False, and nothing is made, if the setting `create_users_for_identities` does not say so.
   */
  enrol(identity: Identity, deadline: Deadline): Promise<boolean>;
}

export function openEnrolment(transactions: Transactions): Enrolment {
  return {
    async enrol({ issuer, subject }, deadline) {
      const { value } = await transactions.write(serviceContext(deadline), async (handle) => {
        const { create_users_for_identities: isWanted } = await readSettings(handle);
        if (!isWanted) return false;
        if ((await findOwner(handle, { issuer, subject })) !== undefined) return true;
        const user = await createUser(handle, { id: uuidv7() as UserId, email: null, active: true });
        await insertIdentity(handle, user.pk, { issuer, subject });
        recordIdentity(handle, 'identity_linked', user.pk, { issuer, subject });
        await giveDefaultRole(handle, user.pk, null);
        return true;
      });
      return value;
    },
  };
}
