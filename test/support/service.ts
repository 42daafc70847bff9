import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import supertest from 'supertest';
import type { RoleKey, UserId } from '../../src/domain/ids.ts';
import type { Runtime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Build, soundBuild } from './replicas.ts';
import { openTestRuntime } from './runtime.ts';
import { createWatchedDatabase } from './shadow-log.ts';

/** The whole service on a database of its own, with an administrator called `root`. */
export interface TestService {
  readonly app: FastifyInstance;
  readonly runtime: Runtime;
  readonly database: TestDatabase;
  /** The key of `root`. */
  readonly adminKey: string;
  /** supertest's agent with a key on every request, the administrator's if none is named. */
  as(key?: string): ReturnType<typeof supertest.agent>;
  /** A key for a user who is made if absent and given a role, if any, everywhere. */
  keyFor(user: string, role?: string): Promise<string>;
  close(): Promise<void>;
}

export interface TestServiceOptions {
  /** Further variables of the environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** How long a request may take; generous, since the machine may be busy. */
  readonly requestTimeoutMs?: number;
  /** Every log line goes here; nowhere if left out. */
  readonly onLog?: (line: string) => void;
  /** A database that exists, closed by whoever made it. */
  readonly database?: TestDatabase;
  /** The key of `root`, if that database has one already. */
  readonly adminKey?: string;
  /** A broken one is to be found by its answers, not by its journal. */
  readonly build?: Build;
}

export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const { variables, requestTimeoutMs = 20_000, onLog, build = soundBuild } = options;
  const create = build === soundBuild ? createWatchedDatabase : createTestDatabase;
  const database = options.database ?? (await create());
  const runtime = await openTestRuntime(database.url, variables, build.openRuntime);
  const logger = onLog ? pino({ level: 'debug' }, { write: onLog }) : pino({ level: 'silent' });
  const app = await build.buildServer(runtime, { version: '0.0.0-test', requestTimeoutMs, logger });
  await app.ready();

  const keyFor = async (user: string, role?: string) => {
    const { value } = await runtime.apiKeys.provision(
      operatorCall(20_000),
      user as UserId,
      (role ?? null) as RoleKey | null,
    );
    return value.key as string;
  };
  const adminKey = options.adminKey ?? (await keyFor('root', 'admin'));
  return {
    app,
    runtime,
    database,
    adminKey,
    as: (key = adminKey) => supertest.agent(app.server).set('authorization', `Bearer ${key}`) as never,
    keyFor,
    async close() {
      await app.close();
      await runtime.close();
      if (!options.database) await database.drop();
    },
  };
}
