import { performance } from 'node:perf_hooks';
import type { Instant } from '../../domain/ids.ts';
import type { Revision } from '../../domain/revisions.ts';
import { deadlineIn, unavailable, within } from '../../storage/deadline.ts';
import type { Head } from '../../storage/read-models/head.ts';
import type { Mirror } from './mirror.ts';
import { type Mark, SharedRead } from './shared-read.ts';

/** How current answers are, and what time it is for them. */
export interface Freshness {
  /**
   * For questions that have come and of which nothing is known yet: the mark they may bring to `latest`. If those before
   * them did, the head begins to be read, so that it is under way while they are looked at.
   */
  expectQuestions(): Mark;
  /**
   * Resolves when the mirror has everything that was committed before the call, or with a mark before that was given out:
   * the head was read on the primary after it, by a read shared with all who wait, and the mirror has reached it.
   */
  latest(since?: Mark): Promise<void>;
  /** Whether the mirror was last found to have everything less than a lease ago, by the monotonic clock. */
  isWithinLease(): boolean;
  /**
   * Begins to read the head, one read at a time, once half of the lease is over: whoever asks under it then does not wait
   * for one when it ends, however far away the database is.
   */
  renewLease(): void;
  /** The primary's clock: as it was last read, moved on by the monotonic clock. Never this host's, nor a standby's. */
  now(): Instant;
  secondsSinceConfirmed(): number;
}

export interface FreshnessSources {
  readonly mirror: Mirror;
  /** How long a lease is where no setting says so. */
  readonly leaseMs: number;
  /** How long one read may take. */
  readonly timeoutMs: number;
  /** Told how many shared each read of the head. */
  noteSharers(sharers: number): void;
  readHead(): Promise<Head>;
  /** Called when the head was read in another place than before: begins a new epoch if history is not what it was. */
  acknowledgePlace(known: Revision | undefined): Promise<void>;
}

/** A step back of the primary's clock by less than this is the reading's inaccuracy, and time does not go back for it. */
const inaccuracyMs = 1_000;

export function openFreshness({
  mirror,
  leaseMs,
  timeoutMs,
  noteSharers,
  readHead,
  acknowledgePlace,
}: FreshnessSources): Freshness {
  let place: string | undefined;
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let clock = { instant: 0, readAt: 0 };

  const now = () => clock.instant + (performance.now() - clock.readAt);

  /** A reading is late by as long as it was on its way, which began at `begun`. */
  function setClock(instant: Instant, begun: number): void {
    const present = now();
    const latenessMs = Math.max(inaccuracyMs, performance.now() - begun);
    const isBehind = instant < present && present - instant < latenessMs;
    clock = { instant: isBehind ? present : instant, readAt: performance.now() };
  }

  async function headOfKnownPlace(): Promise<Head> {
    const known = mirror.snapshot?.revision;
    const head = await readHead();
    const wentBack = known?.epoch === head.revision.epoch && head.revision.value < known.value;
    if (head.place === place && !wentBack) return head;
    await acknowledgePlace(wentBack ? known : undefined);
    place = head.place;
    return readHead();
  }

  async function confirm(): Promise<void> {
    const begun = performance.now();
    let head = await headOfKnownPlace();
    // Or a new epoch began while the head was read.
    if (mirror.hasLeft(head.revision.epoch)) head = await headOfKnownPlace();
    if (mirror.hasLeft(head.revision.epoch))
      throw unavailable('the newest revision was read on a server that a failover left behind');
    setClock(head.now, begun);
    await mirror.reach(head.revision);
    confirmedAt = Math.max(confirmedAt, begun);
  }

  const leaseLasts = () => mirror.snapshot?.settings.lease_ms ?? leaseMs;
  let isRenewing = false;
  /** Whether any of those who came last asked for the newest revision. */
  let isAsked = false;
  const reads = new SharedRead(
    () =>
      within(deadlineIn(timeoutMs), confirm(), () =>
        unavailable('the newest revision was not known in time'),
      ),
    noteSharers,
  );

  const freshness: Freshness = {
    expectQuestions() {
      const { mark } = reads;
      // A failure is for those who ask to find.
      if (isAsked) reads.begin().catch(() => {});
      isAsked = false;
      return mark;
    },
    latest(since) {
      if (since !== undefined) isAsked = true;
      return reads.ask(since);
    },
    isWithinLease: () => performance.now() - confirmedAt < leaseLasts(),
    renewLease() {
      if (isRenewing || 2 * (performance.now() - confirmedAt) < leaseLasts()) return;
      isRenewing = true;
      // What fails is found out by whoever asks when the lease is over.
      const renewed = () => {
        isRenewing = false;
      };
      freshness.latest().then(renewed, renewed);
    },
    now,
    secondsSinceConfirmed: () => (performance.now() - confirmedAt) / 1_000,
  };
  return freshness;
}
