import { administratorRole } from '../domain/matrix/builtin.ts';
import { isSealedWith } from '../storage/chain.ts';
import type { Database } from '../storage/database.ts';
import type { Deadline } from '../storage/deadline.ts';
import { toRolecallError } from '../storage/errors.ts';
import { nameCatalog } from '../storage/migrations/catalog.ts';
import { findMissing } from '../storage/migrations/drift.ts';
import { pendingSteps, readLedger, withoutNewer } from '../storage/migrations/ledger.ts';
import type { Step } from '../storage/migrations/steps.ts';
import { roleIsDeclared } from '../storage/roles.ts';

/** Whether the service can answer, and if not, what is missing and the command that helps. */
export interface Readiness {
  readonly ready: boolean;
  readonly problems: readonly { readonly problem: string; readonly command: string | null }[];
}

export interface Health {
  /** Never rejects: what is wrong is the answer. */
  readiness(deadline: Deadline): Promise<Readiness>;
  /** The process is about to stop: from now on it is not ready, so that a balancer sends its requests elsewhere. */
  leave(): void;
}

const mostNamed = 5;

export function openHealth(database: Database, steps: readonly Step[], journalKey: string): Health {
  let isLeaving = false;
  return {
    leave() {
      isLeaving = true;
    },

    async readiness(deadline) {
      if (isLeaving)
        return { ready: false, problems: [{ problem: 'the process is stopping', command: null }] };
      try {
        const problem = await database.run(deadline, async (sql) => {
          // Steps of a newer release change nothing here: what this one needs is looked for by name.
          const pending = pendingSteps(steps, withoutNewer(steps, await readLedger(sql)));
          if (pending.length > 0)
            return {
              problem: `pending migrations: ${pending.map((step) => step.name).join(', ')}`,
              command: 'rolecall migrate up',
            };
          const missing = findMissing(steps.at(-1), await nameCatalog(sql));
          if (missing.length > 0)
            return {
              problem: `the database lacks ${missing.slice(0, mostNamed).join(', ')}${missing.length > mostNamed ? `, and ${missing.length - mostNamed} more` : ''}`,
              command: 'rolecall migrate verify',
            };
          if (!(await roleIsDeclared(sql, administratorRole)))
            return { problem: 'no matrix has been applied', command: 'rolecall matrix apply' };
          if (!(await isSealedWith(sql, journalKey)))
            return {
              problem: 'the journal was sealed with another ROLECALL_JOURNAL_KEY: use that one',
              command: null,
            };
          return undefined;
        });
        return { ready: problem === undefined, problems: problem ? [problem] : [] };
      } catch (error) {
        const failure = toRolecallError(error);
        const command = failure.code === 'migration_refused' ? 'rolecall migrate status' : null;
        return { ready: false, problems: [{ problem: failure.message, command }] };
      }
    },
  };
}
