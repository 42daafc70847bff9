import { countPersonal, purgePersonal, revisionBefore } from '../storage/personal.ts';
import { readSettings } from '../storage/settings.ts';
import type { Transactions } from '../storage/transaction.ts';
import { type Call, dueIn, writeContextOf } from './call.ts';

/** What was erased, or in a dry run would be. */
export interface Purge {
  /** Of the setting; null while values are kept for good. */
  readonly retentionDays: number | null;
  /** How many values. */
  readonly values: number;
}

export interface Personal {
  /**
   * Erases the personal values of journal rows older than the setting `personal_retention_days` allows, some at a time and
   * each time in a revision of its own that says how many. The chain stays whole: it was sealed over their digests.
   */
  purge(call: Call): Promise<Purge>;
}

/** So many are erased under one lock of the revision: other writes get their turn in between. */
const valuesAtATime = 5_000;
const eachTimeoutMs = 30_000;

export function openPersonal(transactions: Transactions): Personal {
  return {
    async purge(call) {
      const { retentionDays, through, old } = await transactions.read(call.deadline, async (handle) => {
        const { personal_retention_days: retentionDays } = await readSettings(handle);
        const through = retentionDays === null ? 0 : await revisionBefore(handle, retentionDays);
        return { retentionDays, through, old: await countPersonal(handle, through) };
      });
      if (call.dryRun) return { retentionDays, values: old };
      let values = 0;
      while (values < old) {
        const context = { ...writeContextOf(call), deadline: dueIn(eachTimeoutMs) };
        const { value: erased } = await transactions.write(context, async (handle) => {
          const count = await purgePersonal(handle, through, valuesAtATime);
          if (count > 0) handle.record({ kind: 'personal_purged', after: { through, values: count } });
          return count;
        });
        if (erased === 0) break;
        values += erased;
      }
      return { retentionDays, values };
    },
  };
}
