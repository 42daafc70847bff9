import { type Environment, type Requirement, readEnvironment } from './env.ts';
import type { IdentityProvider } from './identity-providers.ts';
import type { Secret } from './secrets.ts';

/** How this process was asked to run. Frozen; times are milliseconds. */
export interface Settings {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Where administration is, if it is not on `port` with everything else. */
  readonly adminPort: number | undefined;
  readonly logLevel: Environment['LOG_LEVEL'];
  readonly poolSize: number;
  readonly requestTimeoutMs: number;
  /** The same for `POST /grants/batch`. */
  readonly batchTimeoutMs: number;
  /** Never more than `requestTimeoutMs`. */
  readonly connectTimeoutMs: number;
  /** How current an answer is that asks for nothing else. */
  readonly freshness: Environment['ROLECALL_FRESHNESS'];
  readonly leaseMs: number;
  readonly cacheMegabytes: number;
  /** How many processes `serve` runs on one address. */
  readonly workers: number;
  /** Requests that one credential may make in a second, of one process; undefined for no limit. */
  readonly requestsPerSecond: number | undefined;
  /** Requests of one process at once. */
  readonly mostInFlight: number;
  /** How many wrong keys of one address one process looks up. */
  readonly wrongKeysPerSecond: number;
  /** How many streams of events one process holds. */
  readonly eventStreams: number;
  /** The origins whose pages in browsers may ask; none if nothing is configured. */
  readonly corsOrigins: readonly string[];
  /** Whose tokens are accepted; none if nothing is configured. */
  readonly identityProviders: readonly IdentityProvider[];
  /** By how much the clocks of providers and database may differ. */
  readonly tokenToleranceMs: number;
  /** How long a role lasts that a token's claims gave. */
  readonly claimAgeMs: number;
  /** Undefined when NODE_ENV is not set, which stands for no mode at all, least of all development. */
  readonly nodeEnv: Environment['NODE_ENV'];
}

/** The settings with the secrets; one that the command named as a requirement is always there. */
export type Config<Requirements extends readonly Requirement[] = readonly []> = Settings & {
  readonly databaseUrl: Required<Requirements, 'database'>;
  readonly journalKey: Required<Requirements, 'journalKey'>;
  /** A standby to read decisions' rows from. */
  readonly readDatabaseUrl: Secret | undefined;
};

// A list whose length is not known while compiling promises nothing about its members.
type Required<
  Requirements extends readonly Requirement[],
  Name extends Requirement,
> = number extends Requirements['length']
  ? Secret | undefined
  : Name extends Requirements[number]
    ? Secret
    : Secret | undefined;

const usualConnectTimeoutMs = 1000;

/**
 * The configuration of this process, or of the environment given. Throws a ConfigurationError (`env.ts`) that lists
 * every problem at once and prints no secret.
 */
export function loadConfig<const Requirements extends readonly Requirement[]>(
  requirements: Requirements,
  environment?: NodeJS.ProcessEnv,
): Config<Requirements> {
  const read = readEnvironment(requirements, environment);
  const config: Config = {
    host: read.HOST,
    port: read.PORT,
    adminPort: read.ROLECALL_ADMIN_PORT,
    databaseUrl: read.DATABASE_URL,
    journalKey: read.ROLECALL_JOURNAL_KEY,
    readDatabaseUrl: read.ROLECALL_READ_DATABASE_URL,
    logLevel: read.LOG_LEVEL,
    poolSize: read.ROLECALL_POOL_SIZE,
    requestTimeoutMs: read.ROLECALL_REQUEST_TIMEOUT_MS,
    batchTimeoutMs: read.ROLECALL_BATCH_TIMEOUT_MS,
    connectTimeoutMs:
      read.ROLECALL_CONNECT_TIMEOUT_MS ?? Math.min(usualConnectTimeoutMs, read.ROLECALL_REQUEST_TIMEOUT_MS),
    freshness: read.ROLECALL_FRESHNESS,
    leaseMs: read.ROLECALL_LEASE_MS,
    cacheMegabytes: read.ROLECALL_CACHE_MB,
    workers: read.ROLECALL_WORKERS,
    requestsPerSecond: read.ROLECALL_RATE_LIMIT,
    mostInFlight: read.ROLECALL_MAX_IN_FLIGHT,
    wrongKeysPerSecond: read.ROLECALL_WRONG_KEY_LIMIT,
    eventStreams: read.ROLECALL_EVENT_STREAMS,
    corsOrigins: read.ROLECALL_CORS_ORIGINS,
    identityProviders: read.ROLECALL_IDENTITY_PROVIDERS,
    tokenToleranceMs: read.ROLECALL_TOKEN_TOLERANCE_SECONDS * 1_000,
    claimAgeMs: read.ROLECALL_CLAIM_HOURS * 3_600_000,
    nodeEnv: read.NODE_ENV,
  };
  return Object.freeze(config) as Config<Requirements>;
}
