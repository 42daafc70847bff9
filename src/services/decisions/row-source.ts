import type { Revision } from '../../domain/revisions.ts';
import type { Sample } from '../../observability/metrics.ts';
import type { Database, Sql } from '../../storage/database.ts';
import { deadlineIn } from '../../storage/deadline.ts';

/** Where the rows that decide are read: on a standby if there is one and it is recent enough, or on the primary. */
export interface RowSource {
  /** Rows of a revision that is not before `atLeast`. With null any will do, and they come from the primary. */
  read<Rows extends { readonly revision: Revision }>(
    load: (sql: Sql) => Promise<Rows>,
    atLeast: Revision | null,
  ): Promise<Rows>;
  counts(): readonly Sample[];
}

/** The share of the time that the standby gets; the rest is the primary's, should the standby fail or lag. */
const standbyShare = 0.5;

export function openRowSource(
  primary: Database,
  standby: Database | undefined,
  timeoutMs: number,
): RowSource {
  const reads = { primary: 0, standby: 0 };

  async function fromStandby<Rows extends { readonly revision: Revision }>(
    load: (sql: Sql) => Promise<Rows>,
    atLeast: Revision | null,
  ): Promise<Rows | undefined> {
    if (!standby || !atLeast) return undefined;
    // A standby that cannot be reached is no reason not to answer.
    const rows = await standby
      .run(deadlineIn(timeoutMs * standbyShare), (sql) => load(sql))
      .catch(() => undefined);
    const isRecent = rows?.revision.epoch === atLeast.epoch && rows.revision.value >= atLeast.value;
    return isRecent ? rows : undefined;
  }

  return {
    async read(load, atLeast) {
      const deadline = deadlineIn(timeoutMs);
      const rows = await fromStandby(load, atLeast);
      reads[rows ? 'standby' : 'primary'] += 1;
      return rows ?? primary.run(deadline, (sql) => load(sql));
    },
    counts: () => Object.entries(reads).map(([from, value]): Sample => [{ from }, value]),
  };
}
