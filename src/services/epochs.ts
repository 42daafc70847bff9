import { actorOf } from '../domain/principals.ts';
import { formatRevision } from '../domain/revisions.ts';
import type { Transactions } from '../storage/transaction.ts';
import type { Call } from './call.ts';

export interface Epochs {
  /**
   * Declares that the history was cut: everything up to the revision returned stands, every copy of what decides is
   * emptied, and tokens of what came after it are refused.
   */
  declare(call: Call): Promise<{ readonly lostAfter: string | null }>;
}

export function openEpochs(transactions: Transactions): Epochs {
  return {
    async declare({ caller, deadline }) {
      const after = await transactions.beginEpoch(deadline, { actor: actorOf(caller), declared: true });
      return { lostAfter: after && formatRevision(after) };
    },
  };
}
