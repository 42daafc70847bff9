import { networkOf } from '../domain/networks.ts';
import { Rates } from '../domain/rates.ts';
import type { Sample } from '../observability/metrics.ts';
import { type Deadline, millisecondsUntil } from '../storage/deadline.ts';

/** What requests come over, one of them at a time: a socket. */
export interface Connection {
  destroy(): unknown;
}

/** A request that is not let in, and that nobody has told so yet. */
export interface RefusedRequest {
  readonly connection: Connection;
  readonly ip: string;
  readonly deadline: Deadline;
  tell(): void;
}

/**
 * Where those wait who are refused again and again. To refuse costs nearly as much as to answer, so whoever does not wait
 * before they come back takes with refusals what others need. But who has not been told yet does not come back: an address
 * is told so many refusals in a second at once, and the others within the second that they are to wait anyway.
 */
export interface Doorstep {
  /** Tells now, or later but before the deadline. Hangs up where too many wait. */
  turnAway(refused: RefusedRequest): void;
  /** Nobody is there any more to be told. */
  forget(connection: Connection): void;
  /** Tells all who wait, and at once whoever comes from now on. */
  clear(): void;
  readonly waiting: number;
  /** Refusals by when they were told. */
  counts(): readonly Sample[];
}

/** Of one address: what these cost is some hundredths of what a process can do. */
const toldAtOncePerSecond = 200;
const mostAddresses = 10_000;
/** Each keeps a connection and a request, some ten kilobytes. */
const mostWaiting = 10_000;

/** How long to hold whoever asks too much: spread, so that those who were refused together do not come back together. */
export function waitMs(): number {
  return 500 + Math.random() * 500;
}

interface Kept {
  readonly timer: NodeJS.Timeout;
  readonly tell: RefusedRequest['tell'];
}

export function openDoorstep(now = () => performance.now()): Doorstep {
  const rates = new Rates(toldAtOncePerSecond, mostAddresses);
  const waiting = new Map<Connection, Kept>();
  const told = { atOnce: 0, later: 0, never: 0 };
  let isCleared = false;

  function mayTellAtOnce(ip: string): boolean {
    const [network, at] = [networkOf(ip), now()];
    if (rates.wait(network, at) > 0) return false;
    rates.spend(network, at);
    return true;
  }

  function keep({ connection, deadline, tell }: RefusedRequest): void {
    const timer = setTimeout(() => letGo(connection), Math.min(waitMs(), millisecondsUntil(deadline)));
    waiting.set(connection, { timer, tell });
  }

  function take(connection: Connection): Kept | undefined {
    const kept = waiting.get(connection);
    clearTimeout(kept?.timer);
    waiting.delete(connection);
    return kept;
  }

  function letGo(connection: Connection): void {
    const kept = take(connection);
    if (!kept) return;
    told.later += 1;
    kept.tell();
  }

  return {
    turnAway(refused) {
      const { connection, ip, tell } = refused;
      if (isCleared || mayTellAtOnce(ip)) {
        told.atOnce += 1;
        tell();
      } else if (waiting.size < mostWaiting) keep(refused);
      else {
        told.never += 1;
        connection.destroy();
      }
    },
    forget: (connection) => void take(connection),
    clear() {
      isCleared = true;
      for (const connection of [...waiting.keys()]) letGo(connection);
    },
    get waiting() {
      return waiting.size;
    },
    counts: () => Object.entries(told).map(([when, value]): Sample => [{ when }, value]),
  };
}
