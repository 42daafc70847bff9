import { type LedgerRow, pendingSteps, readLedger } from './ledger.ts';
import { connected, onSnapshot, type RunOptions, type Transaction } from './session.ts';
import type { Step } from './steps.ts';

export interface MigrationStatus {
  readonly applied: readonly LedgerRow[];
  readonly pending: readonly Step[];
}

/** What has run and what has not. Throws `migration_refused` when files and ledger contradict each other. */
export function migrationStatus(options: RunOptions): Promise<MigrationStatus> {
  return connected(options, (sql) =>
    onSnapshot(sql, async (transaction) => {
      const applied = await readLedger(transaction);
      return { applied, pending: pendingSteps(options.steps, applied) };
    }),
  );
}

/** One time that a step went up or down, or that the ledger was repaired. */
export interface HistoryEntry {
  readonly time: string;
  readonly step: string;
  readonly what: string;
  /** The revision that it made; null for what ran before anybody had written, or was run as a printed plan. */
  readonly revision: number | null;
}

/** Everything that the ledger and the journal know of, oldest first. */
export function migrationHistory(options: RunOptions): Promise<readonly HistoryEntry[]> {
  return connected(options, (sql) =>
    onSnapshot(sql, async (transaction) => {
      const ledger = await readLedger(transaction);
      const recorded = ledger.length > 0 ? await readRecorded(transaction) : [];
      const unrecorded = ledger
        .filter((row) => (recorded.findLast((entry) => entry.step === row.name)?.what ?? 'down') === 'down')
        .map((row) => ({ time: row.appliedAt, step: row.name, what: 'up', revision: null }));
      return [...unrecorded, ...recorded].sort((a, b) => (a.time < b.time ? -1 : 1));
    }),
  );
}

function readRecorded(transaction: Transaction): Promise<readonly HistoryEntry[]> {
  return transaction<HistoryEntry[]>`
    select to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as time, named.step,
      after ->> 'direction' as what, revision::float8 as revision
    from rolecall.journal, jsonb_array_elements_text(after -> 'steps') as named (step) where kind = 'schema_changed' order by journal.revision, number`;
}
