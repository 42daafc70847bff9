import type postgres from 'postgres';
import { discard, whileThere } from './connection.ts';

/** What a transaction of the lane works with. */
export interface LaneTransaction {
  readonly sql: postgres.ISql;
  /** The client whose connection it is. */
  readonly client: postgres.Sql;
  /** Whether the connection was lost, the deadline passed or the transaction is over: nobody learns any more what the transaction still does. */
  isGone(): boolean;
  /** Whether COMMIT went out. */
  isCommitting(): boolean;
  /** Sends a statement along with COMMIT. If it fails, nothing is committed and the transaction rejects as it does. */
  sendAlong(statement: PromiseLike<unknown>): void;
  /** Lets it end with ROLLBACK, though nothing failed. */
  undo(): void;
}

export type Work<T> = (transaction: LaneTransaction) => Promise<T>;

/** Something to be done on the connection, now that its turn has come. */
export interface Turn<T> {
  readonly work: Work<T>;
  /** Lets the next one have its turn, once all that this one sends is on its way. */
  leave(): void;
  isLate(): boolean;
}

/** How far a transaction has come: it may have ended before a later one on its connection loses that. */
interface Progress {
  isCommitting: boolean;
  /** Whether its COMMIT or ROLLBACK was answered. */
  hasEnded: boolean;
  /** The first error among the statements that were sent along. */
  failure?: unknown;
}

/** The one connection of a lane: one transaction after the other until it is lost. */
export class LaneConnection {
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

  run<T>(turn: Turn<T>): Promise<T> {
    const progress: Progress = { isCommitting: false, hasEnded: false };
    const running = new Promise<T>((resolve, reject) => {
      const lose = () => {
        if (!progress.hasEnded) reject(progress.failure ?? connectionLost());
      };
      this.#underWay.add(lose);
      void this.#transact(turn, progress)
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(lose));
    });
    // Nobody waits for it any more once it is late; what it did is undone with its connection.
    running.catch(() => {});
    return running;
  }

  async #transact<T>({ work, leave, isLate }: Turn<T>, progress: Progress): Promise<T> {
    // What is still to be sent when the next transaction begins on this connection would become a part of that.
    let isOver = false;
    const isGone = () => isOver || this.#isLost || isLate();
    const sql = whileThere(await this.#ready, isGone);
    const along: PromiseLike<unknown>[] = [];
    // The driver repeats a statement whose plan is gone, and would repeat it in the transaction that follows: what fails
    // after the next was let in takes the connection along, before anything of the next is committed on it.
    const sendAlong = (statement: PromiseLike<unknown>) =>
      void along.push(
        statement.then(undefined, (error: unknown) => {
          progress.failure ??= error;
          this.discard();
        }),
      );
    sendAlong(sql.unsafe('BEGIN ISOLATION LEVEL READ COMMITTED'));
    let end: 'COMMIT' | 'ROLLBACK' = 'COMMIT';
    const undo = () => {
      end = 'ROLLBACK';
    };
    const isCommitting = () => progress.isCommitting;
    let value: T;
    try {
      value = await work({ sql, client: this.#client, isGone, isCommitting, sendAlong, undo });
    } catch (error) {
      if (!isGone()) sendAlong(sql.unsafe('ROLLBACK'));
      isOver = true;
      this.#before = Promise.all(along);
      leave();
      throw error;
    }
    // All that was sent before has been answered by now. Had any of it failed, this connection would be gone.
    await this.#before;
    progress.isCommitting = end === 'COMMIT';
    sendAlong(
      sql.unsafe(end).then(({ command }) => {
        requireEnd(command, end);
        progress.hasEnded = true;
      }),
    );
    isOver = true;
    this.#before = Promise.all(along);
    leave();
    await this.#before;
    if (progress.failure !== undefined) throw progress.failure;
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
