import { setTimeout as pause } from 'node:timers/promises';
import type { Impact } from '../domain/decision/impact.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Actor, JournalEntry } from '../domain/journal-entries.ts';
import { formatRevision, type Revision } from '../domain/revisions.ts';
import type { Sight } from '../domain/sight.ts';
import { unlessLost, whileThere } from './connection.ts';
import { type ChangeHandle, changeHandleOn, type Database, handleOn, type ReadHandle } from './database.ts';
import { type Deadline, deadlineIn, isPast, unavailable } from './deadline.ts';
import { insertEpoch } from './epochs.ts';
import { mayRetry, toRolecallError, wasRefused } from './errors.ts';
import type { Gate } from './gate.ts';
import { findAnswer, type IdempotencyKey, keepAnswer } from './idempotency.ts';
import { appendJournal, type JournalWrite, type LockedRevision, lockRevision } from './journal.ts';
import type { LaneTransaction } from './lane-connection.ts';
import { type CatalogueAt, catalogueWith, openCatalogueAt } from './read-models/catalogue-at.ts';
import { impactOf } from './read-models/impact.ts';
import { endSilentHolders } from './silent-holders.ts';

/** On whose behalf, until when, and how a write is made. */
export interface WriteContext {
  readonly actor: Actor;
  readonly requestId: string | null;
  readonly deadline: Deadline;
  /** Do everything, keep nothing. */
  readonly dryRun: boolean;
  /** The scopes in which the caller sees users: the impact of a dry run lists only what lies in them. */
  readonly sight: Sight;
  readonly idempotency: IdempotencyKey | null;
}

export interface WriteHandle extends ChangeHandle {
  /** Notes a change. A write that notes nothing takes no revision. */
  record(entry: JournalEntry): void;
  /** The catalogue as the write found it. */
  readonly catalogueAt: CatalogueAt;
}

type Change<T> = (handle: WriteHandle) => Promise<T>;

export interface Written<T> {
  readonly value: T;
  /** The revision this write made, or the present one if it changed nothing. */
  readonly revision: string;
  readonly changed: boolean;
  /** Of a dry run: whose access the write would alter. */
  readonly impact?: Impact;
}

export interface Transactions {
  /** Several statements on one snapshot. */
  read<T>(deadline: Deadline, work: (handle: ReadHandle) => Promise<T>): Promise<T>;
  /**
   * The one way to change anything: takes the revision lock, runs `change`, seals what it recorded into the journal,
   * commits. Retried when nothing can have been committed. Rejects with `outcome_unknown` if the connection was lost
   * or the time ran out after COMMIT was sent; before that, a late write is rolled back. `remember` says what of the
   * value may be kept for a repeated `Idempotency-Key`: secrets must not.
   */
  write<T>(context: WriteContext, change: Change<T>, remember?: (value: T) => T): Promise<Written<T>>;
  /**
   * Several writes in one transaction: all are kept or none, by the earliest of their deadlines. Each has a handle, a revision and
   * entries of its own. Not for dry runs, nor with an `Idempotency-Key`.
   */
  writeAll<T>(
    contexts: readonly WriteContext[],
    change: (handles: readonly WriteHandle[]) => Promise<readonly T[]>,
  ): Promise<readonly Written<T>[]>;
  /** Lets one in at a time, for those who gather what they write; who waits there is counted with the others. */
  openGate(): Gate;
  /** What roles mean on a snapshot that is read, kept from one to the next. */
  readonly catalogueAt: CatalogueAt;
  /**
   * Begins a new epoch, recorded as the next revision: if this is not the history that it was, if it lacks the revision
   * `lost` that is known to have been, or because whoever restored it says so. Returns the revision after which the old
   * epoch is lost, or null when nothing was to be done.
   */
  beginEpoch(
    deadline: Deadline,
    why: { readonly actor: Actor; readonly lost?: Revision | undefined; readonly declared?: boolean },
  ): Promise<Revision | null>;
}

const mostAttempts = 4;
const longestFreeingMs = 1_000;

/** What is known of a write whose COMMIT goes out. */
type Sealed = Pick<Written<never>, 'revision' | 'changed'>;

/** The database is a copy, or another server than the one that wrote it. */
class OtherIncarnation extends Error {}

export function openTransactions(database: Database, journalKey: string): Transactions {
  const catalogueAt = openCatalogueAt();

  function read<T>(deadline: Deadline, work: (handle: ReadHandle) => Promise<T>): Promise<T> {
    return database.run(
      deadline,
      (client, isGone) =>
        client.begin('isolation level repeatable read read only', (sql) =>
          unlessLost(work(handleOn(whileThere(sql, isGone), client)), isGone),
        ) as Promise<T>,
    );
  }

  let isFreeing = false;
  /** For whoever writes next; nobody waits for it, and one at a time is enough. */
  function freeLock(): void {
    if (isFreeing) return;
    isFreeing = true;
    const freeing = database.run(deadlineIn(longestFreeingMs), endSilentHolders);
    void freeing
      .catch(() => {})
      .finally(() => {
        isFreeing = false;
      });
  }

  /** Runs `work` in a transaction, at most `mostAttempts` times and not after the deadline. */
  async function attempt<T>(deadline: Deadline, work: (lane: LaneTransaction) => Promise<T>): Promise<T> {
    for (let number = 1; ; number += 1) {
      let isCommitting = () => false;
      try {
        return await database.transact(deadline, (lane) => {
          isCommitting = lane.isCommitting;
          return work(lane);
        });
      } catch (error) {
        if ((error as Error).cause instanceof OtherIncarnation) {
          await beginEpoch(deadline, { actor: { kind: 'service' } });
          continue;
        }
        const failure = toRolecallError(error);
        if (failure.code === 'unavailable') freeLock();
        const mayBeCommitted = isCommitting() && !wasRefused(error);
        if (mayBeCommitted)
          throw new RolecallError(
            'outcome_unknown',
            'the connection was lost while committing: ask again with the same Idempotency-Key, or read what stands',
            { cause: error, retryAfter: 1 },
          );
        if (number === mostAttempts || !mayRetry(error) || isPast(deadline)) throw failure;
        await pause(Math.random() * 20 * 2 ** number);
      }
    }
  }

  function write<T>(
    context: WriteContext,
    change: Change<T>,
    remember: (value: T) => T = (value) => value,
  ): Promise<Written<T>> {
    const { deadline, dryRun, idempotency } = context;
    return attempt(deadline, async (lane) => {
      const { sql } = lane;
      const locking = lockRevision(sql, deadline);
      if (idempotency) {
        await locking;
        const answer = await findAnswer(sql, idempotency);
        if (answer !== undefined) return answer as Written<T>;
      }
      const saving = dryRun ? sql`savepoint tried`.execute() : undefined;
      // The first questions of the change are sent along with the lock: the connection answers in order, so they are read
      // after it, and the lock is not held while they travel.
      const { handle, entries } = handleFor(lane);
      const [locked, value] = await Promise.all([locking, change(handle), saving]);
      if (!locked.isSameIncarnation) throw new OtherIncarnation();
      if (dryRun) {
        const undo = () => sql`rollback to savepoint tried`.execute();
        const impact = await impactOf(sql, entries, context.sight, undo);
        lane.undo();
        return { value, changed: entries.length > 0, revision: formatRevision(locked), impact };
      }
      const [sealed] = seal(lane, locked, [{ ...context, entries }]);
      const written = { value, ...(sealed as Sealed) };
      if (idempotency) lane.sendAlong(keepAnswer(sql, idempotency, { ...written, value: remember(value) }));
      return written;
    });
  }

  function writeAll<T>(
    contexts: readonly WriteContext[],
    change: (handles: readonly WriteHandle[]) => Promise<readonly T[]>,
  ): Promise<readonly Written<T>[]> {
    const deadline = Math.min(...contexts.map((context) => context.deadline));
    return attempt(deadline, async (lane) => {
      const locking = lockRevision(lane.sql, deadline);
      const parts = contexts.map((context) => ({ ...context, ...handleFor(lane) }));
      const [locked, values] = await Promise.all([locking, change(parts.map(({ handle }) => handle))]);
      if (!locked.isSameIncarnation) throw new OtherIncarnation();
      const sealed = seal(lane, locked, parts);
      if (!sealed.some(({ changed }) => changed)) lane.undo();
      return values.map((value, place) => ({ value, ...(sealed[place] as Sealed) }));
    });
  }

  /** A handle, and what is noted through it. */
  function handleFor(lane: LaneTransaction): { handle: WriteHandle; entries: JournalEntry[] } {
    const entries: JournalEntry[] = [];
    const record = (entry: JournalEntry) => void entries.push(entry);
    const own = { record, catalogueAt: catalogueWith(entries, catalogueAt) };
    return { handle: Object.assign(changeHandleOn(lane), own), entries };
  }

  /** Sends what was noted to the journal: from here COMMIT goes out. */
  function seal(
    lane: LaneTransaction,
    locked: LockedRevision,
    parts: readonly JournalWrite[],
  ): readonly Sealed[] {
    // Whoever ran out of time was told 503 and must find nothing done.
    if (lane.isGone()) throw unavailable('the write ran out of time and was undone');
    let { value } = locked;
    const sealed = parts.map(({ entries }) => {
      const changed = entries.length > 0;
      if (changed) value += 1;
      return { changed, revision: formatRevision({ ...locked, value }) };
    });
    if (value > locked.value) lane.sendAlong(appendJournal(lane.sql, journalKey, locked, parts));
    return sealed;
  }

  function beginEpoch(
    deadline: Deadline,
    { actor, lost, declared = false }: Parameters<Transactions['beginEpoch']>[1],
  ): Promise<Revision | null> {
    return database.transact(deadline, async ({ sql }) => {
      // Who had to wait for the lock saw the epochs as they were before it: they are read again by who holds it.
      await lockRevision(sql, deadline);
      const locked = await lockRevision(sql, deadline);
      const { epoch, value, isSameIncarnation } = locked;
      const isCut = lost?.epoch === epoch && lost.value > value;
      if (isSameIncarnation && !isCut && !declared) return null;
      const begun = await insertEpoch(sql, value);
      const entry: JournalEntry = { kind: 'epoch_began', before: { epoch }, after: { epoch: begun } };
      const write = { actor, requestId: null, entries: [entry] };
      await appendJournal(sql, journalKey, { ...locked, epoch: begun }, [write]);
      return { epoch, value };
    });
  }

  return {
    read,
    write,
    writeAll,
    openGate: database.openGate,
    catalogueAt,
    beginEpoch,
  };
}
