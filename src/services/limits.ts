import { RolecallError } from '../domain/errors.ts';
import type { Principal } from '../domain/principals.ts';
import { Rates } from '../domain/rates.ts';
import type { Sample } from '../observability/metrics.ts';
import { unavailable } from '../storage/deadline.ts';

export interface LimitOptions {
  /** For one credential; undefined for as many as it likes. */
  readonly requestsPerSecond: number | undefined;
  /** Of this process, all callers together. */
  readonly mostInFlight: number;
}

/** One request between its arrival and the end of its answer. */
export interface Stay {
  /** Counts it for the credential it came with. Throws `rate_limited` if that has had its share. */
  admit(caller: Principal): void;
  /** Ends the stay. Calling it again changes nothing. */
  leave(): void;
}

/** Keeps what this process does at once within bounds, and what one credential takes of it. */
export interface Limits {
  /** For a request that has just come, before anything is done for it. Throws `unavailable` if there are too many. */
  enter(): Stay;
  /** Counts a connection over which more requests came at once than may wait there (a flood). */
  noteFlood(): void;
  readonly inFlight: number;
  /** Requests that were turned away, by what they met. */
  counts(): readonly Sample[];
}

/** Of all requests in flight: whoever takes this much leaves as much to everybody else. */
const shareOfOne = 0.5;

export function openLimits(options: LimitOptions, now = () => performance.now()): Limits {
  const { mostInFlight, requestsPerSecond } = options;
  const mostOfOne = Math.ceil(mostInFlight * shareOfOne);
  const rates = requestsPerSecond === undefined ? undefined : new Rates(requestsPerSecond);
  const ofCredential = new Map<number, number>();
  const turnedAway = { overload: 0, connection: 0, share: 0, rate: 0 };
  let inFlight = 0;

  function spendRate(credential: number): void {
    if (!rates) return;
    const at = now();
    const wait = rates.wait(credential, at);
    if (wait > 0) {
      turnedAway.rate += 1;
      throw tooMany(`this credential may make ${requestsPerSecond} requests in a second`, wait);
    }
    rates.spend(credential, at);
  }

  class Place implements Stay {
    #credential: number | undefined;
    #hasLeft = false;

    admit({ credentialPk }: Principal): void {
      // Its client hung up while the credential was looked up: nothing would give the place back.
      if (this.#hasLeft) return;
      const others = ofCredential.get(credentialPk) ?? 0;
      if (others >= mostOfOne) {
        turnedAway.share += 1;
        throw tooMany(`this credential has ${others} requests under way, which is all that one may`, 1_000);
      }
      spendRate(credentialPk);
      this.#credential = credentialPk;
      ofCredential.set(credentialPk, others + 1);
    }

    leave(): void {
      if (this.#hasLeft) return;
      this.#hasLeft = true;
      inFlight -= 1;
      if (this.#credential === undefined) return;
      const left = (ofCredential.get(this.#credential) ?? 0) - 1;
      if (left > 0) ofCredential.set(this.#credential, left);
      else ofCredential.delete(this.#credential);
    }
  }

  return {
    enter() {
      if (inFlight >= mostInFlight) {
        turnedAway.overload += 1;
        throw unavailable('too many requests are under way');
      }
      inFlight += 1;
      return new Place();
    },
    noteFlood() {
      turnedAway.connection += 1;
    },
    get inFlight() {
      return inFlight;
    },
    counts: () => Object.entries(turnedAway).map(([limit, value]): Sample => [{ limit }, value]),
  };
}

/** `waitMs` is how long until it is worth trying again. */
export function tooMany(why: string, waitMs: number): RolecallError {
  return new RolecallError('rate_limited', why, { retryAfter: Math.ceil(waitMs / 1_000) });
}
