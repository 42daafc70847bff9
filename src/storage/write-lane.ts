import type postgres from 'postgres';
import { type Deadline, unavailable, within } from './deadline.ts';
import { connectionWasLost, toRolecallError } from './errors.ts';
import { Gate } from './gate.ts';
import { LaneConnection, type Work } from './lane-connection.ts';

export interface WriteLane {
  /** Runs `work` in a transaction, READ COMMITTED. Rejects with `unavailable` by the deadline, whatever happens. */
  transact<T>(deadline: Deadline, work: Work<T>): Promise<T>;
  readonly waiting: number;
  close(): Promise<void>;
}

/**
 * One connection on which transactions follow each other. The next one's first statements are sent right behind the COMMIT
 * of the one before: the server answers in order, so they are read after it, and between two holders of the revision lock
 * nothing travels. `connect` makes a client of the driver with a single connection and says when that is lost.
 */
export function openWriteLane(
  connect: (onLost: () => void) => postgres.Sql,
  longestQueue: number,
): WriteLane {
  const gate = new Gate(1, longestQueue);
  const underWay = new Set<Promise<unknown>>();
  let connection: LaneConnection | undefined;
  let closed = false;

  async function transact<T>(deadline: Deadline, work: Work<T>): Promise<T> {
    const leave = await gate.enter(deadline);
    if (closed) {
      leave();
      throw unavailable('the service is stopping');
    }
    if (!connection || connection.isLost) connection = new LaneConnection(connect);
    const mine = connection;
    let isLate = false;
    const running = mine.run({ work, leave, isLate: () => isLate });
    underWay.add(running);
    try {
      return await within(deadline, running, () => {
        isLate = true;
        return unavailable('the database did not answer in time');
      });
    } catch (error) {
      if (isLate || connectionWasLost(error)) mine.discard();
      throw toRolecallError(error);
    } finally {
      underWay.delete(running);
      leave();
    }
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.allSettled(underWay);
    await connection?.end();
  }

  return {
    transact,
    get waiting() {
      return gate.waiting;
    },
    close,
  };
}
