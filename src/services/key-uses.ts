import type { Sample } from '../observability/metrics.ts';
import { noteKeyUses } from '../storage/api-keys.ts';
import type { Database } from '../storage/database.ts';
import { deadlineIn } from '../storage/deadline.ts';

/** Remembers which keys were used, for whoever wants to know which are still needed. */
export interface KeyUses {
  /** Notes one. Costs next to nothing, never waits and never throws: a crash loses what was noted since the last write. */
  note(credentialPk: number): void;
  counts(): readonly Sample[];
  /** Writes what is noted and stops. */
  close(): Promise<void>;
}

const writeEveryMs = 60_000;
const writeWithinMs = 2_000;

/** Writes in batches, outside of the journal and without its lock: being used changes nothing for anybody. */
export function openKeyUses(database: Database): KeyUses {
  const counts = { kept: 0, dropped: 0 };
  const used = new Set<number>();
  let timer: NodeJS.Timeout | undefined;

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const keys = [...used];
    used.clear();
    if (keys.length === 0) return;
    const outcome = await database
      .run(deadlineIn(writeWithinMs), (sql) => noteKeyUses(sql, keys))
      .then(
        () => 'kept' as const,
        () => 'dropped' as const,
      );
    counts[outcome] += keys.length;
  }

  return {
    note(credentialPk) {
      used.add(credentialPk);
      timer ??= setTimeout(() => void write(), writeEveryMs).unref();
    },
    counts: () => Object.entries(counts).map(([outcome, value]): Sample => [{ outcome }, value]),
    close: write,
  };
}
