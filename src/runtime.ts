import type { Config } from './config/config.ts';
import { type EventLog, logHearing } from './observability/events.ts';
import { type Metrics, openMetrics } from './observability/metrics.ts';
import { type ApiKeys, openApiKeys } from './services/api-keys.ts';
import type { Authentication } from './services/authentication.ts';
import { openClaims } from './services/claims.ts';
import type { AccessCheck } from './services/decisions/access-check.ts';
import { openDecisions } from './services/decisions/decisions.ts';
import { type Explanations, openExplanations } from './services/decisions/explanations.ts';
import type { Freshness } from './services/decisions/freshness.ts';
import { type Holders, openHolders } from './services/decisions/holders.ts';
import { openPast, type Past } from './services/decisions/past.ts';
import { openPastDiff, type PastDiff } from './services/decisions/past-diff.ts';
import { openPastHolders, type PastHolders } from './services/decisions/past-holders.ts';
import { openSettling } from './services/decisions/settling.ts';
import { type Denials, openDenials } from './services/denials.ts';
import { type Doorstep, openDoorstep } from './services/doorstep.ts';
import { type Epochs, openEpochs } from './services/epochs.ts';
import type { Events } from './services/events.ts';
import { type Exceptions, openExceptions } from './services/exceptions.ts';
import { type GrantBatches, openGrantBatches } from './services/grant-batches.ts';
import { type Grants, openGrants } from './services/grants.ts';
import { type Health, openHealth } from './services/health.ts';
import { type Identities, openIdentities } from './services/identities.ts';
import { type Journal, openJournal } from './services/journal.ts';
import { openKeyUses } from './services/key-uses.ts';
import { type Limits, openLimits } from './services/limits.ts';
import { type Mappings, openMappings } from './services/mappings.ts';
import { type Matrix, openMatrix } from './services/matrix/matrix.ts';
import { type MatrixRecord, openMatrixRecord } from './services/matrix/record.ts';
import { openPermissions, type Permissions } from './services/permissions.ts';
import { openPersonal, type Personal } from './services/personal.ts';
import { openRecovery, type Recovery } from './services/recovery.ts';
import { openRoleEdges, type RoleEdgeService } from './services/role-edges.ts';
import { openRoles, type Roles } from './services/roles.ts';
import { openSettings, type Settings } from './services/settings.ts';
import { openUsers, type Users } from './services/users.ts';
import { openWrongKeys } from './services/wrong-keys.ts';
import { openDatabase } from './storage/database.ts';
import { deadlineIn } from './storage/deadline.ts';
import { readSteps } from './storage/migrations/steps.ts';
import { type Listener, openListener } from './storage/notifications.ts';
import { openCursors } from './storage/pagination.ts';
import { readWritesUnderWay } from './storage/read-models/writes-under-way.ts';
import { openTransactions } from './storage/transaction.ts';

/** Everything that lives as long as the process, built once. */
export interface Runtime {
  readonly authentication: Authentication;
  readonly accessCheck: AccessCheck;
  readonly events: Events;
  readonly freshness: Pick<Freshness, 'expectQuestions'>;
  readonly explanations: Explanations;
  readonly holders: Holders;
  readonly past: Past;
  readonly pastHolders: PastHolders;
  readonly pastDiff: PastDiff;
  readonly users: Users;
  readonly identities: Identities;
  readonly grants: Grants;
  readonly grantBatches: GrantBatches;
  readonly exceptions: Exceptions;
  readonly roles: Roles;
  readonly roleEdges: RoleEdgeService;
  readonly permissions: Permissions;
  readonly apiKeys: ApiKeys;
  readonly mappings: Mappings;
  readonly settings: Settings;
  readonly journal: Journal;
  readonly denials: Denials;
  readonly personal: Personal;
  readonly matrix: Matrix;
  readonly matrixRecord: MatrixRecord;
  readonly epochs: Epochs;
  readonly recovery: Recovery;
  readonly doorstep: Doorstep;
  readonly limits: Limits;
  readonly health: Health;
  readonly metrics: Metrics;
  /** Begins to hear when others write: for a process that stays. */
  listen(): void;
  /** Lets open statements finish and closes the pool. */
  close(): Promise<void>;
}

/** How often the listener proves that it hears. */
const proveEveryMs = 5_000;

/** Builds the services on a database that need not be there yet: connections are made when first needed. */
export async function openRuntime(
  config: Config<['database', 'journalKey']>,
  log: EventLog,
): Promise<Runtime> {
  const journalKey = config.journalKey.reveal();
  const steps = await readSteps();
  const url = config.databaseUrl.reveal();
  const { connectTimeoutMs, requestTimeoutMs } = config;
  const openPool = (url: string, poolSize: number) =>
    openDatabase({ url, poolSize, connectTimeoutMs, statementTimeoutMs: requestTimeoutMs });
  const database = openPool(url, config.poolSize);
  const heads = openPool(url, 1);
  const standby = config.readDatabaseUrl && openPool(config.readDatabaseUrl.reveal(), config.poolSize);
  const transactions = openTransactions(database, journalKey);
  const cursors = openCursors(journalKey);
  const metrics = openMetrics();
  const keyUses = openKeyUses(database);
  const claims = openClaims(transactions, config.claimAgeMs);
  let listener: Listener | undefined;
  const { accessCheck, authentication, events, freshness, wake } = openDecisions({
    database,
    keyUses,
    wrongKeys: openWrongKeys(config.wrongKeysPerSecond),
    standby,
    heads,
    transactions,
    log,
    metrics,
    requestTimeoutMs,
    leaseMs: config.leaseMs,
    usualMode: config.freshness,
    cacheBytes: config.cacheMegabytes * 2 ** 20,
    claims,
    mostStreams: config.eventStreams,
    hears: () => listener?.hears ?? false,
    providers: config.identityProviders.map((provider) => ({
      ...provider,
      toleranceMs: config.tokenToleranceMs,
    })),
  });
  metrics.gauge('rolecall_pool_busy', 'Database connections in use', () => database.usage().busy);
  metrics.gauge('rolecall_pool_idle', 'Database connections ready', () => database.usage().idle);
  metrics.gauge(
    'rolecall_pool_waiting',
    'Requests waiting for a database connection',
    () => database.usage().waiting,
  );
  metrics.gauge(
    'rolecall_notifications_heard',
    'Whether notifications of the database arrive',
    () => (listener?.hears ? 1 : 0),
    'min',
  );
  const settle = openSettling(() => database.run(deadlineIn(requestTimeoutMs), readWritesUnderWay));
  const past = openPast(transactions, accessCheck, settle);
  const denials = openDenials(database);
  metrics.counter('rolecall_denials_total', 'Refused attempts at administration, kept and dropped', () =>
    denials.counts(),
  );
  metrics.counter('rolecall_key_uses_total', 'Keys whose last use was written down, and not', () =>
    keyUses.counts(),
  );
  const limits = openLimits(config);
  metrics.gauge('rolecall_in_flight', 'Requests under way', () => limits.inFlight);
  metrics.counter('rolecall_turned_away_total', 'Requests refused by the limit they met', () =>
    limits.counts(),
  );
  const doorstep = openDoorstep();
  metrics.gauge('rolecall_refusals_waiting', 'Refusals that are told later', () => doorstep.waiting);
  metrics.counter('rolecall_refusals_total', 'Requests not let in, by when they were told', () =>
    doorstep.counts(),
  );
  return {
    authentication,
    doorstep,
    limits,
    accessCheck,
    events,
    freshness,
    explanations: openExplanations(transactions, accessCheck, past),
    holders: openHolders(transactions, cursors),
    past,
    pastHolders: openPastHolders(transactions, cursors, past),
    pastDiff: openPastDiff(transactions, past),
    users: openUsers(transactions, cursors),
    identities: openIdentities(transactions, claims),
    grants: openGrants(transactions, cursors),
    grantBatches: openGrantBatches(transactions),
    exceptions: openExceptions(transactions),
    roles: openRoles(transactions, cursors),
    roleEdges: openRoleEdges(transactions),
    permissions: openPermissions(transactions, cursors),
    apiKeys: openApiKeys(transactions, cursors),
    mappings: openMappings(transactions, cursors, claims),
    settings: openSettings(transactions),
    journal: openJournal(transactions, cursors, journalKey),
    denials,
    personal: openPersonal(transactions),
    matrix: openMatrix(transactions),
    matrixRecord: openMatrixRecord(transactions),
    epochs: openEpochs(transactions),
    recovery: openRecovery(transactions),
    metrics,
    health: openHealth(database, steps, journalKey),
    listen() {
      listener ??= openListener({
        url,
        database,
        connectTimeoutMs,
        proveEveryMs,
        onWake: wake,
        onHearing: (hears) => logHearing(log, hears),
      });
    },
    async close() {
      await listener?.close();
      await Promise.all([denials.close(), keyUses.close()]);
      await Promise.all([heads.close(), database.close(), standby?.close()]);
    },
  };
}
