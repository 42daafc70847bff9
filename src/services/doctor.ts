import type postgres from 'postgres';
import { RolecallError } from '../domain/errors.ts';
import { type Finding, problem } from '../domain/findings.ts';
import { isSealedWith } from '../storage/chain.ts';
import type { Sql } from '../storage/database.ts';
import { checkConnection } from '../storage/diagnosis/connection.ts';
import { checkIndexes } from '../storage/diagnosis/indexes.ts';
import { checkOrphans } from '../storage/diagnosis/orphans.ts';
import { checkRoles } from '../storage/diagnosis/roles.ts';
import { checkSequences } from '../storage/diagnosis/sequences.ts';
import { stateOf, toRolecallError } from '../storage/errors.ts';
import { pendingSteps, readLedger } from '../storage/migrations/ledger.ts';
import type { Step } from '../storage/migrations/steps.ts';
import { asOperator } from '../storage/operator.ts';

type Check = readonly [subject: string, look: (sql: postgres.TransactionSql) => Promise<readonly Finding[]>];

/**
 * Looks at an installation from the outside and changes nothing. What cannot be looked at is a finding too, so that
 * silence means health. Never rejects.
 */
export async function examine(
  url: string,
  journalKey: string,
  steps: readonly Step[],
): Promise<readonly Finding[]> {
  const checks: readonly Check[] = [
    ['the connection', (sql) => checkConnection(sql, url)],
    ['the migrations', async (sql) => pendingOf(steps, await readLedger(sql))],
    ['the sequences', checkSequences],
    ['the references', checkOrphans],
    ['the indexes', checkIndexes],
    ['the roles', checkRoles],
    ['the journal', (sql) => checkJournalKey(sql, journalKey)],
  ];
  try {
    return await asOperator(url, 'read only', async (transaction) => {
      const findings: Finding[] = [];
      for (const [subject, check] of checks)
        findings.push(
          ...(await transaction
            .savepoint((sql) => check(sql))
            .catch((error: unknown) => [unexamined(subject, error)])),
        );
      return findings;
    });
  } catch (error) {
    const { message } = toRolecallError(error);
    return [
      problem('DATABASE_URL', message, 'check host, port, user and password, and that the server runs'),
    ];
  }
}

async function checkJournalKey(sql: Sql, key: string): Promise<readonly Finding[]> {
  if (await isSealedWith(sql, key)) return [];
  return [problem('ROLECALL_JOURNAL_KEY', 'the journal was sealed with another key', 'use that one')];
}

function pendingOf(steps: readonly Step[], ledger: Parameters<typeof pendingSteps>[1]): readonly Finding[] {
  return pendingSteps(steps, ledger).map(({ name }) =>
    problem(name, 'this step has not run', 'rolecall migrate up'),
  );
}

function unexamined(subject: string, error: unknown): Finding {
  if (error instanceof RolecallError && error.code === 'migration_refused')
    return problem(subject, error.message, 'rolecall migrate status');
  // Undefined table: what is to be looked at comes with a step that is pending.
  if (stateOf(error) === '42P01')
    return problem(subject, 'the tables are not there yet', 'rolecall migrate up');
  const why = error instanceof Error ? error.message : String(error);
  return problem(subject, `could not be looked at: ${why}`, 'run doctor as the owner of the schema rolecall');
}
