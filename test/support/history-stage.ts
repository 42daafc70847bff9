/** Where a random history plays: the whole service on a database of its own, and the world as it is at the beginning. */
import type { FastifyInstance, InjectOptions } from 'fastify';
import { pino } from 'pino';
import postgres from 'postgres';
import { loadConfig } from '../../src/config/config.ts';
import type { RoleKey, UserId } from '../../src/domain/ids.ts';
import { buildServer } from '../../src/http/server.ts';
import { openRuntime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase } from './database.ts';
import type { HistoryUser, HistoryWorld } from './history-world.ts';
import { openTestRuntime, testJournalKey } from './runtime.ts';

/** What a build is made of, the sound one or a broken one. */
export interface Build {
  readonly openRuntime: typeof openRuntime;
  readonly buildServer: typeof buildServer;
}

export interface Stage {
  /** The answer to a request, by `root` if no other key is named. */
  request(options: InjectOptions, key?: string): Promise<Answer>;
  /** Past the service, to see what is stored. */
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Null if there is none. */
  readonly body: unknown;
}

export const soundBuild: Build = { openRuntime, buildServer };

/** `root` is made by the sound build, whichever is tried: a history begins where administrators begin. */
export async function openStage(build: Build): Promise<Stage> {
  const database = await createTestDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await addSiteLayer(sql);
  const adminKey = await makeRoot(database.url);
  const environment = {
    DATABASE_URL: database.url,
    ROLECALL_JOURNAL_KEY: testJournalKey,
    ROLECALL_POOL_SIZE: '3',
    ROLECALL_REQUEST_TIMEOUT_MS: '20000',
  };
  const logger = pino({ level: 'silent' });
  const runtime = await build.openRuntime(loadConfig(['database', 'journalKey'], environment), logger);
  const app = await build.buildServer(runtime, { version: '0.0.0-test', requestTimeoutMs: 20_000, logger });
  await app.ready();
  return {
    sql,
    request: (options, key = adminKey) => answerOf(app, options, key),
    async close() {
      await app.close();
      await runtime.close();
      await sql.end();
      await database.drop();
    },
  };
}

async function answerOf(app: FastifyInstance, options: InjectOptions, key: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, ...options.headers };
  const { statusCode, headers: sent, payload } = await app.inject({ ...options, headers });
  return { status: statusCode, headers: sent, body: payload === '' ? null : JSON.parse(payload) };
}

async function makeRoot(url: string): Promise<string> {
  const runtime = await openTestRuntime(url, { ROLECALL_POOL_SIZE: '1' });
  const made = await runtime.apiKeys.provision(operatorCall(20_000), 'root' as UserId, 'admin' as RoleKey);
  await runtime.close();
  return made.value.key as string;
}

/** A second layer, which gives what the first gives too, and withholds: stored as no file can say it yet. */
async function addSiteLayer(sql: postgres.Sql): Promise<void> {
  await sql`
    insert into rolecall.role_permissions (role_pk, permission_pk, origin, withheld)
    select roles.pk, permissions.pk, 'site', withheld
    from (values ('loader', 'documents_view_document', false), ('manager', 'orders_approve_order', true))
      as row (role, permission, withheld)
    join rolecall.roles on roles.key = role join rolecall.permissions on permissions.slug = permission`;
  await sql`
    insert into rolecall.role_includes (role_pk, included_pk, origin, withheld)
    select holder.pk, included.pk, 'site', withheld
    from (values ('manager', 'viewer', false), ('loader', 'viewer', true)) as row (role, other, withheld)
    join rolecall.roles as holder on holder.key = role join rolecall.roles as included on included.key = other`;
}

/** The world as the database has it. */
export async function readWorld(sql: postgres.Sql): Promise<HistoryWorld> {
  const permissions = await sql<{ slug: string; name: string; declared: boolean; retired: boolean }[]>`
    select slug, resource || '.' || action as name, declared_in is not null as declared,
      retired_at is not null as retired
    from rolecall.permissions`;
  const roles = await sql<{ key: string; declared: boolean; system: boolean }[]>`
    select key, declared_in is not null as declared, is_system as system from rolecall.roles`;
  const includes = await sql<HistoryWorld['includes']>`
    select holder.key as role, included.key as included, origin, withheld from rolecall.role_includes
    join rolecall.roles as holder on holder.pk = role_pk join rolecall.roles as included on included.pk = included_pk`;
  const edges = await sql<HistoryWorld['edges']>`
    select key as role, slug as permission, origin, withheld from rolecall.role_permissions
    join rolecall.roles on roles.pk = role_pk join rolecall.permissions on permissions.pk = permission_pk`;
  const users = await sql<(HistoryUser & { id: string })[]>`
    select id, active, array(
      select json_build_object('role', key, 'scope', scope, 'startsAt', null, 'expiresAt', null, 'reason', reason)
      from rolecall.user_roles join rolecall.roles on roles.pk = role_pk where user_pk = users.pk) as grants
    from rolecall.users`;
  return {
    permissions: new Map(permissions.map(({ slug, retired }) => [slug, retired ? 'retired' : 'registered'])),
    names: new Map(permissions.map(({ slug, name, declared }) => [slug, { name, declared }])),
    roles: new Map(roles.map(({ key, declared, system }) => [key, { declared, system }])),
    includes: [...includes],
    edges: [...edges],
    users: new Map(users.map(({ id, active, grants }) => [id, { active, grants, exceptions: [] }])),
    keys: [],
  };
}
