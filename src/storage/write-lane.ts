import type postgres from 'postgres';
import { discard, whileThere } from './connection.ts';
import { type Deadline, unavailable, within } from './deadline.ts';
import { connectionWasLost, toRolecallError } from './errors.ts';
import { Gate } from './gate.ts';

/** What a transaction of the lane works with. */
export interface LaneTransaction {
  readonly sql: postgres.ISql;
  /** The client whose connection it is. */
  readonly client: postgres.Sql;
  /** Whether the connection was lost or the deadline passed: nobody learns any more what the transaction still does. */
  isGone(): boolean;
  /** Sends a statement along with COMMIT. If it fails, nothing is committed and the transaction rejects as it does. */
  sendAlong(statement: PromiseLike<unknown>): void;
  /** Lets it end with ROLLBACK, though nothing failed. */
  undo(): void;
}

export interface WriteLane {
  /** Runs `work` in a transaction, READ COMMITTED. Rejects with `unavailable` by the deadline, whatever happens. */
  transact<T>(deadline: Deadline, work: Work<T>): Promise<T>;
  readonly waiting: number;
  close(): Promise<void>;
}

type Work<T> = (transaction: LaneTransaction) => Promise<T>;

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
    const running = mine.run(() => isLate, work, leave);
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

/** What is known of a transaction that may be over before its connection is lost by another. */
interface Progress {
  /** Whether its COMMIT or ROLLBACK was answered. */
  hasEnded: boolean;
  readonly failures: unknown[];
}

class LaneConnection {
  readonly #client: postgres.Sql;
  readonly #ready: Promise<postgres.ReservedSql>;
  /** Of those under way, to be told when it is lost: a promise they all waited for would keep what they answered. */
  readonly #underWay = new Set<() => void>();
  #isLost = false;
  /** Settled when all statements of the transaction before were answered; never rejects. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(connect: (onLost: () => void) => postgres.Sql) {
    this.#client = connect(() => this.discard());
    this.#ready = reserve(this.#client);
    this.#ready.catch(() => {});
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** `leave` is called once COMMIT or ROLLBACK is on its way. */
  run<T>(isLate: () => boolean, work: Work<T>, leave: () => void): Promise<T> {
    const progress: Progress = { hasEnded: false, failures: [] };
    const running = new Promise<T>((resolve, reject) => {
      const lose = () => {
        if (!progress.hasEnded) reject(progress.failures[0] ?? connectionLost());
      };
      this.#underWay.add(lose);
      void this.#transact(isLate, work, leave, progress)
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(lose));
    });
    // Nobody waits for it any more once it is late; what it did is undone with its connection.
    running.catch(() => {});
    return running;
  }

  async #transact<T>(
    isLate: () => boolean,
    work: Work<T>,
    leave: () => void,
    progress: Progress,
  ): Promise<T> {
    const isGone = () => this.#isLost || isLate();
    const sql = whileThere(await this.#ready, isGone);
    const along: PromiseLike<unknown>[] = [];
    // The driver repeats a statement whose plan is gone, and would repeat it in the transaction that follows: what fails
    // after the next was let in takes the connection along, before anything of the next is committed on it.
    const sendAlong = (statement: PromiseLike<unknown>) =>
      void along.push(
        statement.then(undefined, (error: unknown) => {
          progress.failures.push(error);
          this.discard();
        }),
      );
    sendAlong(sql.unsafe('BEGIN ISOLATION LEVEL READ COMMITTED'));
    let end = 'COMMIT';
    const undo = () => {
      end = 'ROLLBACK';
    };
    let value: T;
    try {
      value = await work({ sql, client: this.#client, isGone, sendAlong, undo });
    } catch (error) {
      if (!isGone()) sendAlong(sql.unsafe('ROLLBACK'));
      this.#before = Promise.all(along);
      leave();
      throw error;
    }
    // All that was sent before has been answered by now. Had any of it failed, this connection would be gone.
    await this.#before;
    const hasEnded = ({ command }: { readonly command: string }) => {
      requireEnd(command, end);
      progress.hasEnded = true;
    };
    sendAlong(sql.unsafe(end).then(hasEnded));
    this.#before = Promise.all(along);
    leave();
    await this.#before;
    if (progress.failures.length > 0) throw progress.failures[0];
    return value;
  }

  /** Closes the connection under whatever goes on. */
  discard(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    // Once they know which of their statements failed with it.
    for (const lose of this.#underWay) queueMicrotask(lose);
    discard(this.#client);
  }

  /** Closes it when nothing goes on. */
  async end(): Promise<void> {
    if (this.#isLost) return;
    await this.#ready.then((sql) => sql.release()).catch(() => {});
    await this.#client.end({ timeout: 5 });
  }
}

/** As the driver says it. */
function connectionLost(): Error {
  return Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' });
}

/** The server answers the COMMIT of a transaction in which a statement failed with ROLLBACK, and calls it no error. */
function requireEnd(command: string, wanted: string): void {
  if (command === wanted) return;
  const why = `a statement failed in the transaction, so that ${wanted} was ${command}`;
  throw Object.assign(new Error(why), { code: '25P02', severity: 'ERROR' });
}

/** The driver hands out a connection that is open; for one that is not there yet it would wait for ever. */
async function reserve(client: postgres.Sql): Promise<postgres.ReservedSql> {
  await client`select 1`;
  return client.reserve();
}
