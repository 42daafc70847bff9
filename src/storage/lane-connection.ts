import type postgres from 'postgres';
import { discard, whileThere } from './connection.ts';
import { unavailable } from './deadline.ts';

/** What a write works with: a transaction, or its part of one that it shares with others. */
export interface LaneTransaction {
  readonly sql: postgres.ISql;
  /** The client whose connection it is. */
  readonly client: postgres.Sql;
  /** The same object for all that share one COMMIT. */
  readonly shared: object;
  /** Whether the connection was lost or the deadline passed: nobody learns any more what the transaction still does. */
  isGone(): boolean;
  /** Whether COMMIT went out with what was done here. */
  isCommitting(): boolean;
  /** Sends a statement along with COMMIT. If it fails, nothing is committed and the transaction rejects as it does. */
  sendAlong(statement: PromiseLike<unknown>): void;
  /** Lets it end with ROLLBACK, though nothing failed. Not for one that may be shared. */
  undo(): void;
}

export type Work<T> = (transaction: LaneTransaction) => Promise<T>;

/** Something to be done on the connection, now that its turn has come. */
export interface Turn<T> {
  readonly work: Work<T>;
  /** Lets the next one have its turn, once all that this one sends is on its way. */
  leave(): void;
  isLate(): boolean;
  /** Whether it may have its COMMIT in common with others. */
  readonly shares: boolean;
  /** Whether somebody has the next turn at once. */
  othersWait(): boolean;
}

/** No more than this many wait for one COMMIT: each waits for all that come after it. */
const mostSharing = 32;

/** A transaction of the server, and whoever does something in it. */
class Shared {
  members = 0;
  isCommitting = false;
  /** Whether its COMMIT or ROLLBACK was answered. */
  hasEnded = false;
  failure: unknown;
  settle: () => void = () => {};
  /** Never settled if the connection is lost before. */
  readonly settled = new Promise<void>((resolve) => {
    this.settle = resolve;
  });
}

/** What one turn did in it. */
interface Part {
  shared?: Shared;
  /** Of what was sent along. */
  failure?: unknown;
}

/** The one connection of a lane: it does one turn after the other until it is lost. */
export class LaneConnection {
  readonly #client: postgres.Sql;
  readonly #ready: Promise<postgres.ReservedSql>;
  /** Of those under way, to be told when it is lost: a promise they all waited for would keep what they answered. */
  readonly #underWay = new Set<() => void>();
  #isLost = false;
  /** Settled when all that was sent along so far was answered; never rejects. */
  #answered: Promise<unknown> = Promise.resolve();
  /** What the turn before left to the one that comes. */
  #open: Shared | undefined;

  constructor(connect: (onLost: () => void) => postgres.Sql) {
    this.#client = connect(() => this.discard());
    this.#ready = reserve(this.#client);
    this.#ready.catch(() => {});
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  run<T>(turn: Turn<T>): Promise<T> {
    const part: Part = {};
    const running = new Promise<T>((resolve, reject) => {
      const lose = () => {
        if (!part.shared?.hasEnded) reject(part.failure ?? part.shared?.failure ?? connectionLost());
      };
      this.#underWay.add(lose);
      void this.#take(turn, part)
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(lose));
    });
    // Nobody waits for it any more once it is late; what it did is undone with its connection.
    running.catch(() => {});
    return running;
  }

  async #take<T>({ work, leave, isLate, shares, othersWait }: Turn<T>, part: Part): Promise<T> {
    const reserved = await this.#ready;
    const isGone = () => this.#isLost || isLate();
    const sql = whileThere(reserved, isGone);
    const sendAlong = (statement: PromiseLike<unknown>) =>
      void this.#send(statement, (error) => {
        part.failure ??= error;
      });
    const shared = this.#enter(reserved, shares);
    const before = this.#answered;
    part.shared = shared;
    const isFirst = shared.members === 1;
    sendAlong(sql.unsafe(isFirst ? 'BEGIN ISOLATION LEVEL READ COMMITTED' : 'SAVEPOINT joined'));
    let end: 'COMMIT' | 'ROLLBACK' = 'COMMIT';
    const undo = () => {
      end = 'ROLLBACK';
    };
    let isUndone = false;
    const isCommitting = () => shared.isCommitting && !isUndone;
    let outcome: () => T;
    try {
      const value = await work({
        ...{ sql, client: this.#client, shared, isGone, isCommitting, sendAlong, undo },
      });
      outcome = () => value;
    } catch (error) {
      isUndone = true;
      outcome = () => {
        throw error;
      };
      if (isFirst) undo();
    }
    // Had anything failed that was sent before, this connection would be gone once that is answered.
    await (isUndone ? this.#answered : before);
    if (isGone()) {
      leave();
      outcome();
      throw unavailable('the connection to the database was lost');
    }
    if (isUndone && !isFirst) sendAlong(sql.unsafe('ROLLBACK TO SAVEPOINT joined'));
    const leavesOpen = shares && end === 'COMMIT' && shared.members < mostSharing && othersWait();
    if (leavesOpen) this.#leaveOpen(reserved, shared);
    else this.#end(reserved, shared, end);
    leave();
    if (isUndone && isFirst) return outcome();
    await shared.settled;
    const failure = part.failure ?? shared.failure;
    if (failure !== undefined) throw failure;
    return outcome();
  }

  /** The transaction that was left open, or a new one behind it. */
  #enter(sql: postgres.ISql, shares: boolean): Shared {
    const open = this.#open;
    this.#open = undefined;
    if (open && !shares) this.#end(sql, open, 'COMMIT');
    const shared = open && shares ? open : new Shared();
    shared.members += 1;
    return shared;
  }

  #leaveOpen(sql: postgres.ISql, shared: Shared): void {
    this.#open = shared;
    // Whoever was to have the next turn may have given up in this very moment.
    setImmediate(() => {
      if (this.#open !== shared) return;
      this.#open = undefined;
      this.#end(sql, shared, 'COMMIT');
    });
  }

  #end(sql: postgres.ISql, shared: Shared, end: 'COMMIT' | 'ROLLBACK'): void {
    if (this.#isLost) return;
    shared.isCommitting = end === 'COMMIT';
    const ended = sql.unsafe(end).then(({ command }) => {
      requireEnd(command, end);
      shared.hasEnded = true;
    });
    const answered = this.#send(ended, (error) => {
      shared.failure = error;
    });
    void answered.then(shared.settle);
  }

  /**
   * The driver repeats a statement whose plan is gone, and would repeat it in the transaction that follows: what fails
   * after the next was let in takes the connection along, before anything of the next is committed on it.
   */
  #send(statement: PromiseLike<unknown>, noteFailure: (error: unknown) => void): Promise<unknown> {
    const answered = statement.then(undefined, (error: unknown) => {
      noteFailure(error);
      this.discard();
    });
    this.#answered = Promise.all([this.#answered, answered]);
    return this.#answered;
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
