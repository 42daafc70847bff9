import { RolecallError } from '../domain/errors.ts';
import { changesCatalogue } from '../domain/journal-entries.ts';
import type { Principal } from '../domain/principals.ts';
import type { Revision } from '../domain/revisions.ts';
import { everywhere } from '../domain/scopes.ts';
import { unavailable } from '../storage/deadline.ts';
import type { Change } from '../storage/read-models/changes.ts';
import { dueIn } from './call.ts';
import type { AccessCheck, Asking } from './decisions/access-check.ts';
import type { Freshness } from './decisions/freshness.ts';
import type { Mirror } from './decisions/mirror.ts';
import { repeatWhile } from './repetition.ts';

/** `revision`: earlier answers may no longer hold. `resync`: nor is it known what happened since. */
export type ServiceEvent =
  | { readonly name: 'hello' | 'revision' | 'resync'; readonly revision: string }
  | { readonly name: 'bye'; readonly reason: 'stopping' | 'not_valid' | 'unavailable' };

/** Where events go. */
export interface EventSink {
  /** What is told at once belongs together: whoever heard the last of it heard all. After `bye`, nothing more is told. */
  tell(...events: readonly ServiceEvent[]): void;
  /** Nothing happened, and the stream is alive. */
  beat(): void;
}

/** What somebody listens to. */
export interface Listening {
  /** Every revision, which needs `rolecall_read_journal` everywhere; otherwise what may change the caller's own answer. */
  readonly all: boolean;
  /** The last revision that was heard, or null. */
  readonly since: Revision | null;
}

export interface Events {
  /** How many listen. */
  readonly size: number;
  /**
   * Tells a sink from now on, and first what it missed; resolves to the function that ends it. Throws `unauthenticated`,
   * `forbidden`, and `unavailable` when too many listen already, here or with this credential.
   */
  open(asking: Asking, listening: Listening, sink: EventSink): Promise<() => void>;
}

export interface EventSources {
  readonly mirror: Mirror;
  readonly freshness: Freshness;
  readonly accessCheck: AccessCheck;
  /** How long a lease is where no setting says so. */
  readonly leaseMs: number;
  /** How long it may take to find out whether a credential still stands. */
  readonly timeoutMs: number;
  readonly mostStreams: number;
  /** Whether notifications arrive, so that nobody needs to ask for news. */
  hears(): boolean;
}

/** Enough for the open pages of one person. */
const mostOfCredential = 20;
const beatMs = 15_000;
/** How often news are asked for at most, however short the lease. */
const leastPauseMs = 100;

interface Listener {
  readonly caller: Principal;
  readonly all: boolean;
  readonly sink: EventSink;
  /** What is to be told once the credential was found to stand. */
  due: 'revision' | 'resync' | null;
  isBeingChecked: boolean;
}

/** Tells those who listen what the mirror takes. Nobody polls for them but, where no notifications arrive, one beat. */
export function openEvents(sources: EventSources): Events {
  const { mirror, freshness, accessCheck, mostStreams } = sources;
  const listeners = new Set<Listener>();
  const someListen = () => listeners.size > 0;

  mirror.hear((changes) => {
    if (!someListen()) return;
    const reach = reachOf(changes);
    for (const listener of listeners) {
      const due = dueTo(listener, reach);
      if (due === null) continue;
      listener.due = listener.due === 'resync' ? 'resync' : due;
      void deliver(listener);
    }
  });

  const keepUp = repeatWhile(
    someListen,
    () => Math.max(mirror.snapshot?.settings.lease_ms ?? sources.leaseMs, leastPauseMs),
    async () => {
      if (!sources.hears()) await freshness.latest();
    },
  );
  const beat = repeatWhile(
    someListen,
    () => beatMs,
    () => Promise.all([...listeners].map(deliver)),
  );

  function requireStanding({ caller, all }: Pick<Listener, 'caller' | 'all'>, asking: Partial<Asking>) {
    const usual = { caller, deadline: dueIn(sources.timeoutMs), atLeast: null };
    const asked: Asking = { ...usual, ...asking };
    return all
      ? accessCheck.requireOf(asked, 'rolecall_read_journal', everywhere)
      : accessCheck.requireValid(asked);
  }

  /** Tells what is due, or beats, if the credential still stands. What becomes due meanwhile is told with it. */
  async function deliver(listener: Listener): Promise<void> {
    if (listener.isBeingChecked) return;
    listener.isBeingChecked = true;
    const failure = await requireStanding(listener, { freshness: 'lease' }).then(() => null, refusalOf);
    listener.isBeingChecked = false;
    if (!listeners.has(listener)) return;
    const { due, sink } = listener;
    listener.due = null;
    // Without the database nothing happens either: whoever only waits may go on waiting.
    if (failure === 'not_valid' || (failure && due)) {
      listeners.delete(listener);
      return sink.tell({ name: 'bye', reason: failure });
    }
    if (due) sink.tell({ name: due, revision: presentRevision() });
    else sink.beat();
  }

  function presentRevision(): string {
    if (!mirror.snapshot) throw new Error('nothing was read yet');
    return mirror.snapshot.revisionText;
  }

  function refuseTooMany({ credentialId }: Principal): void {
    if (listeners.size >= mostStreams) throw unavailable('too many streams of events are open here');
    const own = [...listeners].filter(({ caller }) => caller.credentialId === credentialId);
    if (own.length >= mostOfCredential)
      throw unavailable(`too many streams of events are open with this credential: ${mostOfCredential}`);
  }

  return {
    get size() {
      return listeners.size;
    },
    async open(asking, { all, since }, sink) {
      const { caller } = asking;
      await requireStanding({ caller, all }, { ...asking, freshness: 'latest' });
      refuseTooMany(caller);
      const listener: Listener = { caller, all, sink, due: null, isBeingChecked: false };
      const revision = presentRevision();
      const missed = since && dueTo(listener, reachOf(mirror.changesSince(since)));
      const hello = { name: 'hello', revision } as const;
      if (missed) sink.tell(hello, { name: missed, revision });
      else sink.tell(hello);
      listeners.add(listener);
      keepUp();
      beat();
      return () => void listeners.delete(listener);
    },
  };
}

/** Whom changes concern: everybody and why, or the users whom they name. */
interface Reach {
  readonly everybody: 'revision' | 'resync' | null;
  readonly isEmpty: boolean;
  readonly users: ReadonlySet<number | null>;
}

function reachOf(changes: readonly Change[] | null): Reach {
  if (changes === null) return { everybody: 'resync', isEmpty: false, users: new Set() };
  return {
    everybody: changes.some(({ kind }) => changesCatalogue(kind)) ? 'revision' : null,
    isEmpty: changes.length === 0,
    users: new Set(changes.map(({ userPk }) => userPk)),
  };
}

function dueTo({ caller, all }: Listener, { everybody, isEmpty, users }: Reach): Listener['due'] {
  if (everybody) return everybody;
  const behind = [caller.userPk, ...(caller.through ? [caller.through.userPk] : [])];
  return (all && !isEmpty) || behind.some((pk) => users.has(pk)) ? 'revision' : null;
}

function refusalOf(error: unknown): 'not_valid' | 'unavailable' {
  const isRefused = error instanceof RolecallError && ['unauthenticated', 'forbidden'].includes(error.code);
  return isRefused ? 'not_valid' : 'unavailable';
}
