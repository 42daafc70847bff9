import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dueIn } from '../../src/services/call.ts';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { lockTimeoutMs } from '../../src/storage/migrations/session.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import { startTestService } from '../support/service.ts';
import { furtherSteps, later, openWorkshop, type Workshop } from '../support/steps.ts';

const index = later(3, 'index_users_by_nickname');

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop(furtherSteps);
  await workshop.describe();
});
afterAll(() => workshop.remove());

let database: TestDatabase;
let sql: postgres.Sql;
beforeEach(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

const told: string[] = [];
const options = async (shop = workshop) => ({
  url: database.url,
  steps: await shop.steps(),
  journalKey: testJournalKey,
  onProgress: (line: string) => void told.push(line),
});
const up = async (to = index) => migrateUp(await options(), to);
const expectIndexed = async () => {
  expect(
    await sql`select indisvalid from pg_index where indexrelid = 'rolecall.users_nickname_index'::regclass`,
  ).toEqual([{ indisvalid: true }]);
  expect(isWhole(await verifyDatabase(await options()))).toBe(true);
};
const build = 'create index concurrently users_nickname_index on rolecall.users (nickname)';

async function until(found: () => PromiseLike<readonly unknown[]>): Promise<void> {
  while ((await found()).length === 0) await sleep(5);
}

describe('a step outside of a transaction', () => {
  test('finds the invalid index that a crash left, and builds it anew (F-16)', async () => {
    await up(later(2));
    // A reader with an old snapshot holds the build back, so that it can be killed while it waits.
    const reader = postgres(database.url, { max: 1, onnotice: () => {} });
    await reader`begin isolation level repeatable read`;
    await reader`select 1 from rolecall.users`;
    const crashed = up();
    crashed.catch(() => {});
    const building = () => sql<
      { pid: number }[]
    >`select pid from pg_stat_activity where datname = current_database()
      and query ilike 'create index concurrently%' and wait_event = 'virtualxid'`;
    await until(building);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'rolecall migrate'`;
    await expect(crashed).rejects.toMatchObject({ code: 'unavailable' });
    await reader`rollback`;
    await reader.end();
    expect(
      await sql`select indisvalid from pg_index where indexrelid = 'rolecall.users_nickname_index'::regclass`,
    ).toEqual([{ indisvalid: false }]);
    expect((await verifyDatabase(await options())).drift).toMatchObject([
      { object: 'index users.users_nickname_index' },
    ]);
    told.length = 0;
    expect(await up()).toEqual([index]);
    expect(told).toContain('removing users_nickname_index, which an earlier attempt left invalid');
    await expectIndexed();
  });

  test('that was built and not recorded is taken as it is, if it is what the step promises', async () => {
    await up(later(2));
    await sql.unsafe(build);
    const oid = () => sql`select 'rolecall.users_nickname_index'::regclass::oid as oid`;
    const before = [...(await oid())];
    expect(await up()).toEqual([index]);
    expect([...(await oid())]).toEqual(before);
    await expectIndexed();
  });

  test('does not take another index of that name for its own, and leaves that alone', async () => {
    await up(later(2));
    await sql.unsafe(build.replace('(nickname)', '(active)'));
    await expect(up()).rejects.toMatchObject({
      code: 'migration_refused',
      message: expect.stringMatching(/42P07/) as string,
    });
    const [row] = await sql`select pg_get_indexdef('rolecall.users_nickname_index'::regclass) as definition`;
    expect(row?.['definition']).toMatch(/\(active\)$/);
  });

  test('that rows do not allow is taken back whole, and runs when they do', async () => {
    const shop = await openWorkshop({
      [later(1, 'index_users')]: [
        '-- rolecall: no transaction\nCREATE UNIQUE INDEX CONCURRENTLY users_active_index ON rolecall.users (active)',
        '-- rolecall: no transaction\nDROP INDEX CONCURRENTLY rolecall.users_active_index',
      ],
    });
    await sql`insert into rolecall.users (id) values ('a'), ('b')`;
    await expect(migrateUp(await options(shop))).rejects.toMatchObject({
      message: expect.stringMatching(/statement 1 \(line 2\).*23505/) as string,
    });
    expect(await sql`select to_regclass('rolecall.users_active_index') as index`).toEqual([{ index: null }]);
    await sql`delete from rolecall.users`;
    expect(await migrateUp(await options(shop))).toEqual([later(1, 'index_users')]);
    await shop.remove();
  });

  test('goes down when the index is gone already, as after a crash', async () => {
    await up();
    await sql`drop index rolecall.users_nickname_index`;
    expect(await migrateDown(await options(), 1)).toEqual([index]);
  });

  test.each([
    ['two statements', `-- rolecall: no transaction\n${build}; select 1`],
    ['anything else', '-- rolecall: no transaction\ncreate table rolecall.other ()'],
  ])('is refused with %s', async (_, text) => {
    const shop = await openWorkshop({ [later(1, 'index_users')]: [text, 'select 1'] });
    await expect(migrateUp(await options(shop))).rejects.toMatchObject({
      code: 'migration_refused',
      message: expect.stringMatching(/exactly one/) as string,
    });
    expect(await sql`select to_regclass('rolecall.other') as other`).toEqual([{ other: null }]);
    await shop.remove();
  });

  test('run by many at once is built once, and all succeed (F-15)', async () => {
    await up(later(2));
    const ran = await Promise.all(Array.from({ length: 6 }, () => up()));
    expect(ran.flat()).toEqual([index]);
    await expectIndexed();
  });
});

describe('a migration under traffic (F-17, F-18)', () => {
  test('that waits for a long reader stalls no check for a second, and ends when the reader does', async () => {
    const service = await startTestService({ database });
    const reader = postgres(database.url, { max: 1, onnotice: () => {} });
    await reader`begin`;
    await reader`select count(*) from rolecall.users`;
    told.length = 0;
    const migrating = up(later(1));
    const slowest = { ms: 0, count: 0 };
    const ask = async () => {
      const begun = performance.now();
      const { status, body } = await service
        .as()
        .post('/authorize')
        .send({ user: 'root', permission: 'rolecall_check' });
      expect({ status, allowed: (body as { allowed: boolean }).allowed }).toEqual({
        status: 200,
        allowed: true,
      });
      slowest.ms = Math.max(slowest.ms, performance.now() - begun);
      slowest.count += 1;
    };
    while (!told.includes('waiting for tables that are in use') || slowest.count < 100) await ask();
    expect(
      await sql`select 1 from rolecall.migrations where name = ${later(1, 'add_nickname_to_users')}`,
    ).toEqual([]);
    await reader`rollback`;
    expect(await migrating).toEqual([later(1, 'add_nickname_to_users')]);
    await ask();
    expect(slowest.ms).toBeLessThan(1_000);
    await reader.end();
    await service.close();
  });

  test('of a newer release fails no request to the older one that still runs, up or down', async () => {
    const service = await startTestService({ database });
    let migrating = true;
    const failures: number[] = [];
    const asking = (async () => {
      while (migrating) {
        const { status } = await service
          .as()
          .post('/authorize')
          .send({ user: 'root', permission: 'rolecall_check' });
        if (status !== 200) failures.push(status);
      }
    })();
    const writing = (async () => {
      for (let n = 0; migrating; n += 1) {
        const { status } = await service
          .as()
          .post('/users')
          .send({ id: `user ${n}` });
        if (status !== 201) failures.push(status);
      }
    })();
    for (let round = 0; round < 3; round += 1) {
      await migrateUp(await options());
      await migrateDown(await options(), later(0));
    }
    await migrateUp(await options());
    migrating = false;
    await Promise.all([asking, writing]);
    expect(failures).toEqual([]);
    expect(isWhole(await verifyDatabase(await options()))).toBe(true);
    expect(await service.runtime.health.readiness(dueIn(20_000))).toEqual({ ready: true, problems: [] });
    await service.close();
  });

  test('that takes away what the older one needs leaves that one not ready, naming it (F-18)', async () => {
    const shop = await openWorkshop({
      [later(1, 'drop_expiry')]: [
        'alter table rolecall.user_roles drop column expires_at cascade',
        'alter table rolecall.user_roles add column expires_at timestamptz',
      ],
    });
    const service = await startTestService({ database });
    await migrateUp(await options(shop));
    const { ready, problems } = await service.runtime.health.readiness(dueIn(20_000));
    expect([ready, problems[0]?.problem]).toEqual([
      false,
      expect.stringMatching(/^the database lacks .*column user_roles\.expires_at/),
    ]);
    await service.close();
    await shop.remove();
  });

  test('waits for a table for far less than the second that a request has', () => {
    expect(lockTimeoutMs).toBeLessThan(500);
  });

  test('gives up in the end, says whom it waited for, and has changed nothing', async () => {
    const reader = postgres(database.url, { max: 1, onnotice: () => {} });
    await reader`begin`;
    await reader`select count(*) from rolecall.users`;
    const waiting = migrateUp({ ...(await options()), lockWaitMs: 500 }, later(1));
    await expect(waiting).rejects.toMatchObject({
      code: 'unavailable',
      message: 'gave up after waiting for tables that are in use; nothing was changed',
    });
    await reader.end();
    expect(await up(later(1))).toEqual([later(1, 'add_nickname_to_users')]);
  });
});
