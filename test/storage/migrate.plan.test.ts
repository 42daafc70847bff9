import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { effectOf, type LockLevel, lockLevels, warningFor } from '../../src/storage/migrations/locks.ts';
import { planUp, printPlan } from '../../src/storage/migrations/plan.ts';
import { splitStatements } from '../../src/storage/migrations/statements.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { hasPsql, runWithPsql } from '../support/psql.ts';
import { testJournalKey } from '../support/runtime.ts';
import { furtherSteps, later, liveCatalog, openWorkshop, type Workshop } from '../support/steps.ts';

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop(furtherSteps);
  await workshop.describe();
});
afterAll(() => workshop.remove());

const optionsFor = async ({ url }: TestDatabase) => ({
  url,
  steps: await workshop.steps(),
  journalKey: testJournalKey,
});

async function withSql<T>({ url }: TestDatabase, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return work(sql).finally(() => sql.end());
}

const outcome = (database: TestDatabase) =>
  withSql(database, async (sql) => ({
    catalog: await liveCatalog(sql),
    ledger: [
      ...(await sql`select position, name, hash, down_hash, applied_by from rolecall.migrations order by 1`),
    ],
  }));

describe.skipIf(!hasPsql())('the printed plan, run with psql,', () => {
  test.each([
    ['from nothing', createEmptyDatabase],
    ['from a database in use', createTestDatabase],
  ])('gives %s the catalog and the ledger that `up` gives (1.7)', async (_, create) => {
    const [printed, migrated] = [await create(), await create()];
    const file = join(workshop.folder, 'plan.txt');
    await writeFile(file, printPlan(await planUp(await optionsFor(printed))));
    await runWithPsql(printed.url, file);
    await migrateUp(await optionsFor(migrated));
    expect(await outcome(printed)).toEqual(await outcome(migrated));
    expect((await planUp(await optionsFor(printed))).steps).toEqual([]);
    await printed.drop();
    await migrated.drop();
  });

  test('is recorded in the journal by the next `up`, and verify says so until then', async () => {
    const database = await createTestDatabase();
    const file = join(workshop.folder, 'plan.txt');
    await writeFile(file, printPlan(await planUp(await optionsFor(database), later(2))));
    await runWithPsql(database.url, file);
    const before = await verifyDatabase(await optionsFor(database));
    expect(before).toMatchObject({
      drift: [],
      unrecorded: [later(1, 'add_nickname_to_users'), later(2, 'create_teams')],
    });
    expect(isWhole(before)).toBe(false);
    await migrateUp(await optionsFor(database), later(2));
    await migrateUp(await optionsFor(database));
    expect(isWhole(await verifyDatabase(await optionsFor(database)))).toBe(true);
    await database.drop();
  });

  test('stops at a database that is elsewhere, and changes nothing there', async () => {
    const database = await createTestDatabase();
    const file = join(workshop.folder, 'plan.txt');
    await writeFile(file, printPlan(await planUp(await optionsFor(database))));
    await migrateUp(await optionsFor(database), later(1));
    const before = await outcome(database);
    await expect(runWithPsql(database.url, file)).rejects.toMatchObject({
      stderr: expect.stringContaining('plan again') as string,
    });
    expect(await outcome(database)).toEqual(before);
    await database.drop();
  });
});

describe('a plan', () => {
  test('is not printed when rows are to come back, which it could not do', async () => {
    const database = await createTestDatabase();
    await migrateUp(await optionsFor(database));
    await migrateDown(await optionsFor(database), later(1));
    const plan = await planUp(await optionsFor(database));
    expect(plan.steps.map(({ restores }) => restores)).toEqual([true, false, true]);
    expect(() => printPlan(plan)).toThrow(
      `rolecall_archive keeps rows of ${later(2, 'create_teams')}, ${later(4, 'protect_teams')}`,
    );
    await database.drop();
  });

  test('says the lock and the warning of each statement, in the SQL too', async () => {
    const database = await createTestDatabase();
    const text = printPlan(await planUp(await optionsFor(database)));
    expect(text).toContain(
      '-- ACCESS EXCLUSIVE on rolecall.users: nobody reads or writes it meanwhile, for a moment\nALTER TABLE "rolecall"."users" ADD COLUMN',
    );
    expect(text).toContain(
      '-- SHARE UPDATE EXCLUSIVE on rolecall.users: reads every row of users\nCREATE INDEX CONCURRENTLY',
    );
    await database.drop();
  });
});

describe('the lock and the pass that a plan tells', () => {
  const statements: readonly string[] = [
    'alter table rolecall.users add column a text',
    `alter table rolecall.users add column a text default 'x' not null`,
    'alter table rolecall.users add column a timestamptz default now()',
    'alter table rolecall.users add column a uuid default gen_random_uuid()',
    'alter table rolecall.users add column a timestamptz default clock_timestamp()',
    'alter table rolecall.users add column a bigint generated always as identity',
    'alter table rolecall.users add column a text generated always as (id) stored',
    'alter table rolecall.users drop column email',
    'alter table rolecall.users alter column email type varchar(9)',
    'alter table rolecall.users alter column email set not null',
    'alter table rolecall.users alter column active drop default',
    'alter table rolecall.users add constraint a check (pk > 0)',
    'alter table rolecall.users add constraint a check (pk > 0) not valid',
    'alter table rolecall.users add constraint a foreign key (pk) references rolecall.users (pk)',
    'alter table rolecall.users add constraint a foreign key (pk) references rolecall.users (pk) not valid',
    'alter table rolecall.users add constraint a unique (pk, id)',
    'alter table rolecall.users drop constraint users_id_length',
    'alter table rolecall.users validate constraint users_id_length',
    'alter table rolecall.users enable row level security',
    'alter table rolecall.users rename to people',
    'alter table rolecall.users alter column id set statistics 7',
    'alter table rolecall.users add column a text, alter column email set not null',
    'create index a on rolecall.users (active)',
    'create policy a on rolecall.users using (true)',
    'create trigger a before update on rolecall.users for each row execute function suppress_redundant_updates_trigger()',
    'create table rolecall.a (pk bigint references rolecall.users)',
    `comment on table rolecall.users is 'x'`,
    `insert into rolecall.users (id) values ('x')`,
    'update rolecall.users set active = false',
    'delete from rolecall.users where pk < 0',
    'drop table rolecall.personal',
    'truncate rolecall.personal',
  ];

  let database: TestDatabase;
  let sql: postgres.Sql;
  beforeEach(async () => {
    database = await createTestDatabase();
    sql = postgres(database.url, { max: 1, onnotice: () => {} });
    await sql`insert into rolecall.users (id, email) values ('ada', 'ada@x.y')`;
  });
  afterEach(async () => {
    await sql.end();
    await database.drop();
  });

  test.each(statements)('is what PostgreSQL does: %s', async (text) => {
    const [statement] = splitStatements(text);
    if (!statement) throw new Error('no statement');
    const told = effectOf(statement, new Set());
    const table = `rolecall.${told.table}`;
    const undone = new Error('undone');
    await sql
      .begin(async (transaction) => {
        const [before] = await transaction<
          { oid: number; file: number }[]
        >`select oid::int, relfilenode as file from pg_class where oid = ${table}::regclass`;
        await transaction.unsafe(text);
        const locks = await transaction<{ mode: string }[]>`
        select mode from pg_locks where pid = pg_backend_pid() and relation = ${before?.oid ?? 0} and locktype = 'relation'`;
        const taken = locks.map(({ mode }) => lockNames[mode] ?? 'none');
        const strongest = taken.reduce(
          (a, b) => (lockLevels.indexOf(a) > lockLevels.indexOf(b) ? a : b),
          'none' as LockLevel,
        );
        expect(told.lock).toBe(strongest);
        const [after] = await transaction<
          { file: number }[]
        >`select relfilenode as file from pg_class where oid = ${before?.oid ?? 0}`;
        const isRewritten =
          after !== undefined && after.file !== before?.file && !text.startsWith('truncate');
        expect(told.pass === 'rewrite').toBe(isRewritten);
        throw undone;
      })
      .catch((error: unknown) => {
        if (error !== undone) throw error;
      });
  });

  const lockNames: Readonly<Record<string, LockLevel>> = {
    RowExclusiveLock: 'ROW EXCLUSIVE',
    ShareUpdateExclusiveLock: 'SHARE UPDATE EXCLUSIVE',
    ShareLock: 'SHARE',
    ShareRowExclusiveLock: 'SHARE ROW EXCLUSIVE',
    AccessExclusiveLock: 'ACCESS EXCLUSIVE',
  };

  test.each([
    'create index a on rolecall.new (b)',
    'create policy a on rolecall.new using ((select rolecall.asked()))',
    'create trigger a before update on rolecall.new for each row execute function rolecall.asked()',
  ])('is no warning for a table that the plan itself makes: %s', (text) => {
    const [statement] = splitStatements(text);
    const told = statement && effectOf(statement, new Set(['new']));
    expect(told && [told.table, told.lock, warningFor(told)]).toEqual(['new', 'none', null]);
  });
});
