import { formatRevision } from '../../domain/revisions.ts';
import { type EventLog, logEpochBegan } from '../../observability/events.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Database } from '../../storage/database.ts';
import { deadlineIn } from '../../storage/deadline.ts';
import { loadChanges } from '../../storage/read-models/changes.ts';
import { isSameIncarnation, readHead } from '../../storage/read-models/head.ts';
import { loadUsers } from '../../storage/read-models/user-rows.ts';
import type { Transactions } from '../../storage/transaction.ts';
import { type Authentication, openAuthentication } from '../authentication.ts';
import type { Claims } from '../claims.ts';
import { type Events, openEvents } from '../events.ts';
import type { KeyUses } from '../key-uses.ts';
import { openEnrolment } from '../tokens/enrolment.ts';
import { openJwtVerifier, type TokenProvider } from '../tokens/jwt-verifier.ts';
import { openTokenAuthentication } from '../tokens/token-authentication.ts';
import type { WrongKeys } from '../wrong-keys.ts';
import { type AccessCheck, openAccessCheck } from './access-check.ts';
import { DecisionCounts } from './decision-counts.ts';
import { type Freshness, openFreshness } from './freshness.ts';
import { Mirror } from './mirror.ts';
import { PermissionLists } from './permission-lists.ts';
import { openRowSource } from './row-source.ts';
import { UserCache } from './user-cache.ts';
import { type FreshnessMode, openViews } from './views.ts';

export interface Decisions {
  readonly accessCheck: AccessCheck;
  readonly authentication: Authentication;
  readonly events: Events;
  readonly freshness: Pick<Freshness, 'expectQuestions'>;
  /** Brings the copy up to date before somebody waits for it; a failure is for the next who asks to find. */
  wake(): void;
}

export interface DecisionOptions {
  /** For the rows that decide. */
  readonly database: Database;
  /** A copy of it that may be behind, to take load from it. */
  readonly standby?: Database | undefined;
  /** For the head alone, so that it never queues behind anything. */
  readonly heads: Database;
  readonly transactions: Transactions;
  /** Told which keys are used. */
  readonly keyUses: Pick<KeyUses, 'note'>;
  readonly wrongKeys: WrongKeys;
  readonly log: EventLog;
  readonly metrics: Metrics;
  readonly requestTimeoutMs: number;
  readonly leaseMs: number;
  readonly usualMode: FreshnessMode;
  readonly cacheBytes: number;
  readonly claims: Claims;
  /** How many streams of events may be open at once. */
  readonly mostStreams: number;
  /** Whether notifications of the database arrive. */
  hears(): boolean;
  /** Whose tokens are accepted. */
  readonly providers: readonly TokenProvider[];
}

/** Whoever comes while a read is under way waits for it and for the next: both must end within the request's time. */
const shareOfRequest = 0.45;
/** Of the memory, what is for lists that are ready to be sent. */
const listShare = 0.25;

/** Stands for ever, in seconds: `Infinity` does not come through the channel between processes. */
const neverSeconds = 1e9;

/** Everything between a question and its answer: the copy of what decides, how fresh it is, and the doors to it. */
export function openDecisions(options: DecisionOptions): Decisions {
  const { database, heads, transactions, log, metrics, requestTimeoutMs, cacheBytes, usualMode } = options;
  const timeoutMs = requestTimeoutMs * shareOfRequest;
  const rows = openRowSource(database, options.standby, timeoutMs);
  const mirror = new Mirror((known, wanted) => rows.read((sql) => loadChanges(sql, known), wanted));
  const cache = new UserCache(
    mirror,
    (ids, keyIds, atLeast) => rows.read((sql) => loadUsers(sql, ids, keyIds), atLeast),
    { bytes: cacheBytes * (1 - listShare), timeoutMs },
  );
  const freshness = openFreshness({
    mirror,
    noteSharers: metrics.histogram(
      'rolecall_questions_per_head_read',
      'How many questions shared one read of the newest revision',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    ),
    leaseMs: options.leaseMs,
    timeoutMs,
    readHead: () => heads.run(deadlineIn(timeoutMs), readHead),
    async acknowledgePlace(lost) {
      const deadline = deadlineIn(timeoutMs);
      if (!lost && (await heads.run(deadline, isSameIncarnation))) return;
      const lostAfter = await transactions.beginEpoch(deadline, { actor: { kind: 'service' }, lost });
      if (lostAfter) logEpochBegan(log, formatRevision(lostAfter));
    },
  });
  const views = openViews({ mirror, cache, freshness, usualMode });
  const lists = new PermissionLists(cacheBytes * listShare);
  const counts = new DecisionCounts();
  const noteBatch = metrics.histogram(
    'rolecall_questions_per_batch',
    'How many questions came at once',
    [1, 10, 50, 100, 250, 500, 1_000],
  );
  metrics.counter('rolecall_decisions_total', 'Decisions by outcome and freshness', () => counts.read());
  metrics.counter('rolecall_user_cache_lookups_total', 'Users looked for in memory', () => cache.lookups());
  metrics.counter('rolecall_row_reads_total', 'Reads of the rows that decide, by server', () =>
    rows.counts(),
  );
  metrics.gauge('rolecall_cached_users', 'Users in memory', () => cache.size);
  // Of several workers the one that is behind counts.
  metrics.gauge(
    'rolecall_revision',
    'The revision this process answers from',
    () => mirror.revisionValue,
    'min',
  );
  metrics.gauge(
    'rolecall_confirmed_seconds',
    'Seconds since that revision was found to be the newest',
    () => Math.min(freshness.secondsSinceConfirmed(), neverSeconds),
    'max',
  );
  const { providers } = options;
  const tokens =
    providers.length > 0
      ? openTokenAuthentication({
          verifier: openJwtVerifier(providers),
          cache,
          freshness,
          enrols: () => mirror.snapshot?.settings.create_users_for_identities ?? false,
          enrolment: openEnrolment(transactions),
          claims: options.claims,
        })
      : undefined;
  const accessCheck = openAccessCheck({ views, lists, counts, noteBatch, usualMode });
  const events = openEvents({
    mirror,
    freshness,
    accessCheck,
    leaseMs: options.leaseMs,
    timeoutMs,
    mostStreams: options.mostStreams,
    hears: options.hears,
  });
  metrics.gauge('rolecall_event_streams', 'Streams of events that are open', () => events.size);
  return {
    accessCheck,
    events,
    freshness,
    authentication: openAuthentication(cache, freshness, tokens, options.keyUses, options.wrongKeys),
    wake: () => void freshness.latest().catch(() => {}),
  };
}
