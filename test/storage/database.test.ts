import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import {
  type ChangeHandle,
  type Database,
  type DatabaseOptions,
  handleOn,
  openDatabase,
} from '../../src/storage/database.ts';
import { deadlineIn } from '../../src/storage/deadline.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/embedded.ts';
import { freePort } from '../../src/storage/embedded/port.ts';
import { insertUser } from '../../src/storage/users.ts';
import { startChaosProxy } from '../support/chaos-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime } from '../support/runtime.ts';

let database: TestDatabase;
let undo: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
  undo = [];
  await database.drop();
});

const unavailable = { code: 'unavailable', retryAfter: 1 };

function open(url: string, options: Partial<DatabaseOptions> = {}): Database {
  const pool = openDatabase({
    url,
    poolSize: 2,
    connectTimeoutMs: 1_000,
    statementTimeoutMs: 20_000,
    ...options,
  });
  undo.push(() => pool.close());
  return pool;
}

/** How a query went: its row, or the code of its failure. */
const ask = (pool: Database, milliseconds: number, statement = 'select 1 as one') =>
  pool.run(deadlineIn(milliseconds), (sql) => sql.unsafe(statement)).then(([row]) => row);

/** How each of many uses ended. */
const endings = (uses: readonly Promise<unknown>[]) =>
  Promise.all(
    uses.map((use) =>
      use.then(
        () => 'answered',
        ({ code }: { code: string }) => code,
      ),
    ),
  );

/** Waits, within the time of the test, until the pool answers again. */
async function untilItAnswers(pool: Database): Promise<void> {
  while (!(await ask(pool, 300).catch(() => undefined))) await sleep(50);
}

describe('a connection of the pool', () => {
  test('is in UTC, names itself, and is limited by the server in what it may take', async () => {
    const pool = open(database.url, { statementTimeoutMs: 1_234 });
    const row = await ask(
      pool,
      20_000,
      `select current_setting('TimeZone') as zone, current_setting('application_name') as name,
        current_setting('statement_timeout') as statement,
        current_setting('idle_in_transaction_session_timeout') as idle`,
    );
    expect(row).toEqual({ zone: 'UTC', name: 'rolecall', statement: '1234ms', idle: '1234ms' });
  });

  test('that runs longer than the server allows is ended by the server and free again', async () => {
    const pool = open(database.url, { poolSize: 1, statementTimeoutMs: 50 });
    await expect(ask(pool, 20_000, 'select pg_sleep(60)')).rejects.toMatchObject(unavailable);
    expect(await ask(pool, 20_000)).toEqual({ one: 1 });
  });
});

describe('a use of the pool', () => {
  test('waits for a connection no longer than its deadline, and the next one gets it', async () => {
    const pool = open(database.url, { poolSize: 1 });
    const release = await occupy(pool);
    await expect(ask(pool, 50)).rejects.toMatchObject(unavailable);
    const patient = ask(pool, 20_000);
    release();
    expect(await patient).toEqual({ one: 1 });
  });

  test('that comes when fifty wait for each connection is told at once to come back (F-06)', async () => {
    const pool = open(database.url, { poolSize: 2 });
    const releases = [await occupy(pool), await occupy(pool)];
    const uses = Array.from({ length: 130 }, () => ask(pool, 20_000));
    expect(await endings(uses.slice(100))).toEqual(Array(30).fill('unavailable'));
    for (const release of releases) release();
    expect(await endings(uses)).toEqual([...Array(100).fill('answered'), ...Array(30).fill('unavailable')]);
  });

  test('gives its place back when what it does fails, by the server or by itself', async () => {
    const pool = open(database.url, { poolSize: 1 });
    for (let round = 0; round < 5; round += 1) {
      await expect(ask(pool, 20_000, 'select 1 / 0')).rejects.toMatchObject({ code: 'internal' });
      await expect(
        pool.run(deadlineIn(20_000), () => Promise.reject(new Error('of its own'))),
      ).rejects.toMatchObject({ code: 'internal' });
    }
    expect(await ask(pool, 20_000)).toEqual({ one: 1 });
  });

  test('ends by its deadline though its statement goes on, and the place comes back', async () => {
    const pool = open(database.url, { poolSize: 1 });
    await expect(ask(pool, 50, 'select pg_sleep(0.5)')).rejects.toMatchObject(unavailable);
    expect(await ask(pool, 20_000)).toEqual({ one: 1 });
  });

  test('that runs out of time costs no further connection: the server sees the pool and little more (F-20)', async () => {
    const pool = open(database.url, { poolSize: 3, statementTimeoutMs: 1_500 });
    const admin = postgres(database.url, { max: 1 });
    undo.push(() => admin.end());
    let most = 0;
    const callers = Array.from({ length: 6 }, async () => {
      for (let use = 0; use < 10; use += 1) {
        await ask(pool, 80, 'select pg_sleep(60)').catch(() => {});
        const [row] = await admin<[{ n: number }]>`select count(*)::int as n from pg_stat_activity
          where datname = current_database() and application_name = 'rolecall'`;
        most = Math.max(most, row.n);
      }
    });
    await Promise.all(callers);
    expect(most).toBeLessThanOrEqual(6);
    await untilItAnswers(pool);
  });

  test('of a pool that is closed, or closes while it waits, is unavailable and opens nothing', async () => {
    const pool = openDatabase({
      url: database.url,
      poolSize: 1,
      connectTimeoutMs: 1_000,
      statementTimeoutMs: 1_000,
    });
    const release = await occupy(pool);
    const waiting = endings([ask(pool, 20_000)]);
    const closing = pool.close();
    release();
    await closing;
    expect(['unavailable', 'answered']).toContain((await waiting)[0]);
    await expect(ask(pool, 20_000)).rejects.toMatchObject(unavailable);
    const admin = postgres(database.url, { max: 1 });
    undo.push(() => admin.end());
    const left = () => admin`select 1 from pg_stat_activity
      where datname = current_database() and application_name = 'rolecall'`;
    while ((await left()).length > 0) await sleep(10);
  });

  test('needs no second connection: a service with one of them does all that it can do at once (F-06)', async () => {
    const runtime = await openTestRuntime(database.url, { ROLECALL_POOL_SIZE: '1' });
    undo.push(() => runtime.close());
    const call = () => operatorCall(30_000);
    const everywhere = '' as Scope;
    const forGood = { startsAt: null, expiresAt: null, reason: null };
    const page = { limit: 10 };
    const people = await Promise.all(
      Array.from({ length: 6 }, async (_, number) => {
        const id = `person-${number}` as UserId;
        await runtime.users.create(call(), { id, email: null, active: true });
        await Promise.all([
          runtime.grants.put(call(), id, 'manager' as RoleKey, everywhere, forGood),
          runtime.exceptions.put(call(), id, 'customers_change_customer' as PermissionSlug, everywhere, {
            ...forGood,
            effect: 'deny',
          }),
          runtime.apiKeys.provision(call(), id, null),
          runtime.users.list(call(), {}, page),
          runtime.roles.list(call(), page),
          runtime.health.readiness(call().deadline),
        ]);
        return runtime.users.get(call(), id);
      }),
    );
    expect(people.map(({ id }) => id)).toHaveLength(6);
  });

  /** Takes a connection until the function it resolves to is called. */
  function occupy(pool: Database): Promise<() => void> {
    return new Promise((resolve, reject) => {
      pool
        .run(deadlineIn(60_000), async (sql) => {
          await sql`select 1`;
          await new Promise<void>((release) => resolve(release));
        })
        .catch(reject);
    });
  }
});

describe('a database that is not there', () => {
  test('is unavailable at once when nobody listens, however far the deadline', async () => {
    const url = new URL(database.url);
    url.port = String(await freePort(0));
    const failure = await ask(open(url.href), 3_600_000).catch((error: unknown) => error);
    expect(failure).toMatchObject({ ...unavailable, cause: { code: 'ECONNREFUSED' } });
  });

  test('is unavailable when its host has no address', async () => {
    const url = new URL(database.url);
    url.hostname = 'nowhere.invalid';
    await expect(ask(open(url.href), 20_000)).rejects.toMatchObject(unavailable);
  });

  test('is unavailable when it accepts connections and says nothing (F-05)', async () => {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    proxy.blackhole();
    const pool = open(proxy.url, { connectTimeoutMs: 200 });
    const failure = await ask(pool, 20_000).catch((error: unknown) => error);
    expect(failure).toMatchObject({ ...unavailable, cause: { code: 'CONNECT_TIMEOUT' } });
    proxy.heal();
    await untilItAnswers(pool);
  });

  test.each([
    ['the user does not exist', (url: URL) => Object.assign(url, { username: 'nobody_at_all' })],
    ['the database does not exist', (url: URL) => Object.assign(url, { pathname: '/nothing' })],
  ])('is unavailable when %s', async (_, spoil) => {
    await expect(ask(open(spoil(new URL(database.url)).href), 20_000)).rejects.toMatchObject(unavailable);
  });

  test('is unavailable while others hold every connection it may have, and back when they let go (F-06)', async () => {
    const admin = postgres(database.url, { max: 1, onnotice: () => {} });
    undo.push(() => admin.end());
    const role = `crowded_${Date.now()}_${process.pid}`;
    await admin.unsafe(`create role ${role} login password 'crowded' connection limit 2`);
    undo.push(() => admin.unsafe(`drop role ${role}`));
    const url = Object.assign(new URL(database.url), { username: role, password: 'crowded' }).href;
    const hogs = [1, 2].map(() => postgres(url, { max: 1 }));
    await Promise.all(hogs.map((hog) => hog`select 1`));

    const pool = open(url);
    await expect(ask(pool, 20_000)).rejects.toMatchObject({ ...unavailable, cause: { code: '53300' } });
    await Promise.all(hogs.map((hog) => hog.end()));
    await untilItAnswers(pool);
  });
});

describe('a connection that dies', () => {
  test('in the middle of a statement is unavailable, and the pool makes another (F-02)', async () => {
    const pool = open(database.url, { poolSize: 1 });
    const dying = ask(pool, 20_000, 'select pg_terminate_backend(pg_backend_pid()), pg_sleep(60)');
    await expect(dying).rejects.toMatchObject(unavailable);
    await untilItAnswers(pool);
  });

  test('half-open keeps nobody beyond the deadline, and the pool heals without a restart (F-11)', async () => {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const pool = open(proxy.url, { poolSize: 2, statementTimeoutMs: 300 });
    await Promise.all([ask(pool, 20_000), ask(pool, 20_000)]);
    proxy.blackhole();
    const uses = Array.from({ length: 20 }, () => ask(pool, 300));
    expect(await endings(uses)).toEqual(Array(20).fill('unavailable'));
    proxy.heal();
    await untilItAnswers(pool);
  });
});

describe('a server of its own', () => {
  let server: EmbeddedPostgres;
  beforeEach(async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'rolecall-frozen-test-'));
    server = await startEmbeddedPostgres({ dataDirectory, durable: false });
    undo.push(async () => {
      await server.stop();
      for (const folder of [dataDirectory, server.dataDirectory])
        await rm(folder, { recursive: true, force: true });
    });
  });

  test('that is frozen keeps nobody beyond the deadline, and serves again when it thaws (F-05)', async () => {
    const pool = open(server.url, { poolSize: 3, statementTimeoutMs: 300, connectTimeoutMs: 300 });
    await Promise.all([1, 2, 3].map(() => ask(pool, 20_000)));
    const thaw = await freeze(server);
    for (let round = 0; round < 3; round += 1) {
      const uses = Array.from({ length: 40 }, () => ask(pool, 300));
      expect(await endings(uses)).toEqual(Array(40).fill('unavailable'));
    }
    thaw();
    await untilItAnswers(pool);
    expect(await Promise.all([1, 2, 3].map(() => ask(pool, 20_000)))).toEqual(Array(3).fill({ one: 1 }));
  });

  test('that is frozen does not keep the pool from closing', async () => {
    const pool = openDatabase({
      url: server.url,
      poolSize: 2,
      connectTimeoutMs: 300,
      statementTimeoutMs: 60_000,
    });
    await ask(pool, 20_000);
    const thaw = await freeze(server);
    await expect(ask(pool, 100)).rejects.toMatchObject(unavailable);
    await pool.close();
    thaw();
  });

  test('that stops and starts again is served by the same pool (F-04)', async () => {
    const pool = open(server.url);
    await Promise.all([ask(pool, 20_000), ask(pool, 20_000)]);
    await server.stop();
    for (let round = 0; round < 5; round += 1)
      await expect(ask(pool, 2_000)).rejects.toMatchObject(unavailable);
    server = await startEmbeddedPostgres({ dataDirectory: server.dataDirectory, durable: false });
    await untilItAnswers(pool);
  });

  /** Stops every process of the server in its tracks; the function it resolves to lets them go on. */
  async function freeze({ dataDirectory }: EmbeddedPostgres): Promise<() => void> {
    const pidFile = join(dataDirectory, 'cluster', 'data', 'postmaster.pid');
    const postmaster = Number.parseInt(await readFile(pidFile, 'utf8'), 10);
    const table = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout;
    const processes = table
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number));
    const pids = [
      postmaster,
      ...processes.flatMap(([pid = 0, parent]) => (parent === postmaster ? [pid] : [])),
    ];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    let frozen = true;
    const thaw = () => {
      if (frozen) for (const pid of pids) process.kill(pid, 'SIGCONT');
      frozen = false;
    };
    undo.push(async () => thaw());
    return thaw;
  }
});

describe('a failure', () => {
  const telling = /select|insert|update|relation|constraint|rolecall\.|sqlstate|canary|canaries/i;

  test.each([
    ['users_id_key', 'user_exists', `users (id) values ('canary')`],
    ['users_email_key', 'email_taken', `users (id, email) values (gen_random_uuid(), 'canary@x')`],
    ['roles_key_key', 'role_exists', `roles (key, name) values ('canary', '')`],
    ['permissions_slug_key', 'slug_collision', `permissions (resource, action) values ('a_canary', 'b')`],
    [
      'identities_issuer_subject_key',
      'identity_taken',
      `identities (user_pk, issuer, subject) select max(pk), 'canary', 'x' from rolecall.users`,
    ],
  ])('of %s is %s to the caller', async (constraint, code, row) => {
    const pool = open(database.url);
    await ask(pool, 20_000, `insert into rolecall.users (id) values ('someone')`);
    const twin = row.replace(`('a_canary', 'b')`, `('a', 'canary_b')`);
    await ask(pool, 20_000, `insert into rolecall.${row}`);
    const failure = await ask(pool, 20_000, `insert into rolecall.${twin}`).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, cause: { constraint_name: constraint } });
    expect((failure as Error).message).not.toMatch(telling);
  });

  test('of any unique constraint that callers can run into has a code of its own', async () => {
    const row = await ask(
      open(database.url),
      20_000,
      `select json_agg(conname order by conname) as names from pg_constraint
        where connamespace = 'rolecall'::regnamespace and contype = 'u'`,
    );
    // Beside those of the table above: random, read before it is written under the lock, or the ledger's own.
    const outOfReach = [
      'api_keys_id_key',
      'mappings_id_key',
      'mappings_rule_key',
      'matrix_layers_position_key',
      'migrations_name_key',
      'user_permissions_user_permission_scope_key',
      'user_roles_user_role_scope_origin_key',
    ];
    const coded = ['identities_issuer_subject_key', 'permissions_slug_key', 'roles_key_key'];
    expect(row?.['names']).toEqual([...outOfReach, ...coded, 'users_email_key', 'users_id_key'].sort());
  });

  test.each([
    ['unavailable', 'the connection', ['08000', '08006', '57P01', '57P02', '57P03']],
    ['unavailable', 'the resources of the server', ['53000', '53100', '53200', '53300', '58030', 'XX001']],
    ['unavailable', 'time', ['57014', '55P03', '25P03', '25P04']],
    [
      'unavailable',
      'a server that is not, or no longer, ours to write to',
      ['25006', '28000', '28P01', '3D000'],
    ],
    ['unavailable', 'a session ended by the server', ['57P04', '57P05']],
    ['unavailable', 'a lost race', ['40001', '40P01']],
    ['not_ready', 'the schema', ['3F000', '42P01', '42703', '42883']],
    [
      'internal',
      'the statement or its values',
      ['22P02', '22001', '23502', '23514', '23503', '42601', 'XX000'],
    ],
  ])('is %s when it is one of %s', async (code, _, states) => {
    const pool = open(database.url);
    for (const state of states) {
      const failure = await ask(
        pool,
        20_000,
        `do $$ begin raise exception 'canary' using errcode = '${state}', detail = 'insert of canaries'; end $$`,
      ).catch((error: unknown) => error);
      expect(failure, state).toMatchObject({ code, cause: { code: state } });
      expect((failure as Error).message).not.toMatch(telling);
    }
  });

  test.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])(
    'of the network, %s, is unavailable',
    async (code) => {
      const work = () => Promise.reject(Object.assign(new Error('canary'), { code }));
      await expect(open(database.url).run(deadlineIn(20_000), work)).rejects.toMatchObject(unavailable);
    },
  );

  test('of the query builder says nothing of its statement and values', async () => {
    const pool = open(database.url);
    await ask(pool, 20_000, `insert into rolecall.users (id) values ('canary')`);
    const failure = await pool
      .run(deadlineIn(20_000), (sql) =>
        insertUser(handleOn(sql, sql) as unknown as ChangeHandle, {
          id: 'canary' as UserId,
          email: null,
          active: true,
        }),
      )
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'user_exists' });
    expect((failure as Error).message).not.toMatch(telling);
  });
});
