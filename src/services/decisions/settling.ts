import { setTimeout as pause } from 'node:timers/promises';
import type { AskedMoment } from '../../domain/moments.ts';
import { type Deadline, unavailable, within } from '../../storage/deadline.ts';
import { notPast, type SettledMoment } from '../../storage/read-models/history-moments.ts';
import type { WritesUnderWay } from '../../storage/read-models/writes-under-way.ts';
import { SharedRead } from './shared-read.ts';

/**
 * Resolves to the moment, or with null to the present, once no write can get a time up to it any more: a revision has the time at
 * which its write took the lock, and is seen when that commits. Only what is newer than the newest revision waits, and
 * only for writes that were under way when it was asked about. Throws `invalid_input` for a time that is still to come,
 * and `unavailable` when such a write outlasts the deadline.
 */
export type Settle = (deadline: Deadline, asked: AskedMoment | null) => Promise<SettledMoment>;

const lookEveryMs = 10;

/** All who wait share what is read, and hold no connection meanwhile: a long write must not use up the pool. */
export function openSettling(read: () => Promise<WritesUnderWay>): Settle {
  const reads = new SharedRead(read);
  const look = (deadline: Deadline) => within(deadline, reads.ask(), tooLate);

  async function ended(deadline: Deadline, writes: readonly string[]): Promise<void> {
    for (let open = writes; open.length > 0; ) {
      await pause(lookEveryMs);
      const { writes: still } = await look(deadline);
      open = open.filter((write) => still.includes(write));
    }
  }

  return async (deadline, asked) => {
    if (asked && 'revision' in asked) return asked as SettledMoment;
    const { newest, now, writes, isStandby } = await look(deadline);
    const moment = asked ?? { time: now, instant: Date.parse(now) };
    if (moment.time > now) throw notPast('has not come yet');
    if (moment.time > newest) {
      if (isStandby)
        throw unavailable('DATABASE_URL names a standby: what is newest is only known on the primary');
      await ended(deadline, writes);
    }
    return moment as SettledMoment;
  };
}

function tooLate(): Error {
  return unavailable('a write is under way that may belong to the time asked about');
}
