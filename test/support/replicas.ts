/** Several replicas of the service in this process, on one database, each with a pool, caches and a listener of its own. */
import type { FastifyInstance, InjectOptions } from 'fastify';
import { pino } from 'pino';
import postgres from 'postgres';
import { loadConfig } from '../../src/config/config.ts';
import type { RoleKey, UserId } from '../../src/domain/ids.ts';
import { buildServer } from '../../src/http/server.ts';
import { openRuntime, type Runtime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import type { Load } from './broken-build.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Answer, openClient } from './over-http.ts';
import { openTestRuntime, testJournalKey, testPool } from './runtime.ts';
import { createWatchedDatabase } from './shadow-log.ts';

/** What a build is made of, the sound one or a broken one. */
export interface Build {
  readonly openRuntime: typeof openRuntime;
  readonly buildServer: typeof buildServer;
}

export const soundBuild: Build = { openRuntime, buildServer };

/** The build whose sources `load` reads. */
export async function buildOf(load: Load): Promise<Build> {
  const { openRuntime } = await load<Pick<Build, 'openRuntime'>>('runtime.ts');
  const { buildServer } = await load<Pick<Build, 'buildServer'>>('http/server.ts');
  return { openRuntime, buildServer };
}

export interface Replica {
  readonly app: FastifyInstance;
  /** Of `root`. */
  readonly key: string;
  readonly runtime: Runtime;
  /** The answer to a request, by `root` if no other key is named. */
  request(options: InjectOptions, key?: string): Promise<Answer>;
  close(): Promise<void>;
}

export interface ReplicaOptions {
  readonly build?: Build;
  /** Further variables of the environment. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly requestTimeoutMs?: number;
  /** Whether it hears notifications. */
  readonly listens?: boolean;
  /** Every line of its log. */
  readonly onLog?: (line: string) => void;
}

/** A replica that reaches the database at this URL and is asked by `adminKey` unless another key is named. */
export async function startReplica(
  url: string,
  adminKey: string,
  options: ReplicaOptions = {},
): Promise<Replica> {
  const { build = soundBuild, variables = {}, requestTimeoutMs = 20_000, listens = false, onLog } = options;
  const config = loadConfig(['database', 'journalKey'], {
    DATABASE_URL: url,
    ROLECALL_JOURNAL_KEY: testJournalKey,
    ROLECALL_POOL_SIZE: '3',
    ...testPool,
    ROLECALL_REQUEST_TIMEOUT_MS: String(requestTimeoutMs),
    ...variables,
  });
  const logger = onLog ? pino({ level: 'debug' }, { write: onLog }) : pino({ level: 'silent' });
  const runtime = await build.openRuntime(config, logger);
  if (listens) runtime.listen();
  const app = await build.buildServer(runtime, { version: '0.0.0-test', requestTimeoutMs, logger });
  const client = await openClient(app);
  return {
    app,
    key: adminKey,
    runtime,
    request: (asked, key = adminKey) =>
      client.send({ ...asked, headers: { authorization: `Bearer ${key}`, ...asked.headers } }),
    async close() {
      client.close();
      await app.close();
      await runtime.close();
    },
  };
}

/** The key of `root`, an administrator whom the sound build makes on this database. */
export async function makeRoot(url: string): Promise<string> {
  const runtime = await openTestRuntime(url, { ROLECALL_POOL_SIZE: '1' });
  const made = await runtime.apiKeys.provision(operatorCall(20_000), 'root' as UserId, 'admin' as RoleKey);
  await runtime.close();
  return made.value.key as string;
}

export interface Replicas {
  readonly database: TestDatabase;
  readonly adminKey: string;
  readonly replicas: readonly Replica[];
  /** Past the service. */
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

/**
 * A database of their own, with `root` in it, and so many replicas. What they change is held to the journal when they are
 * closed; a broken build is to be found by its answers.
 */
export async function startReplicas(count: number, options: ReplicaOptions = {}): Promise<Replicas> {
  const { build = soundBuild } = options;
  const database = await (build === soundBuild ? createWatchedDatabase() : createTestDatabase());
  const adminKey = await makeRoot(database.url);
  const sql = postgres(database.url, { max: 2, onnotice: () => {} });
  const starting = Array.from({ length: count }, () => startReplica(database.url, adminKey, options));
  const replicas = await Promise.all(starting);
  return {
    database,
    adminKey,
    replicas,
    sql,
    async close() {
      await Promise.all(replicas.map((replica) => replica.close()));
      await sql.end();
      await database.drop();
    },
  };
}
