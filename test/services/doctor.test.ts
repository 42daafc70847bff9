import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { examine } from '../../src/services/doctor.ts';
import { checkConnection, checkVersion } from '../../src/storage/diagnosis/connection.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import { createTenant } from '../support/tenant.ts';

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

async function found(url = database.url, key = testJournalKey): Promise<readonly string[]> {
  const findings = await examine(url, key, await readSteps());
  for (const { cause, fix } of findings) expect([cause, fix]).not.toContain('');
  // What the server's own release and roles are like is not of these tests.
  return findings
    .filter(
      ({ subject, cause }) => !subject.startsWith('PostgreSQL') && !/^(is a|has BYPASS|owns)/.test(cause),
    )
    .map(({ severity, subject, cause }) => `${severity} ${subject}: ${cause}`);
}

describe('doctor', () => {
  test('has nothing to mend in an installation that is well', async () => {
    expect(await found()).toEqual([]);
  });

  test('names every sequence that is behind, ours and neighbours', async () => {
    await sql.unsafe(`
      insert into rolecall.users (id) values ('a'), ('b'), ('c');
      select setval('rolecall.users_pk_seq', 1);
      create table public.auth_permission (id serial primary key, name text);
      insert into public.auth_permission (id, name) values (40, 'theirs');
      create table public.well (id serial primary key); insert into public.well default values;
      create table public.empty (id serial primary key)`);
    expect(await found()).toEqual([
      expect.stringMatching(/^notice public\.auth_permission_id_seq: a neighbour's.* has 40 already/),
      expect.stringMatching(
        /^problem rolecall\.users_pk_seq: gives out 1 or less, but rolecall\.users\.pk has \d+ already/,
      ),
    ]);
    const findings = await examine(database.url, testJournalKey, await readSteps());
    await sql.unsafe(findings.find(({ subject }) => subject === 'rolecall.users_pk_seq')?.fix ?? '');
    expect(await found()).toHaveLength(1);
  });

  test("leaves a neighbour's sequence as it is, and our writes succeed beside it (0.2)", async () => {
    await sql.unsafe(`create table public.auth_permission (id serial primary key);
      insert into public.auth_permission (id) values (40)`);
    await found();
    expect(await sql`select last_value, is_called from public.auth_permission_id_seq`).toEqual([
      { last_value: '1', is_called: false },
    ]);
    await expect(sql`insert into rolecall.users (id) values ('works')`).resolves.toBeDefined();
  });

  test('names the sequences that it may not look at', async () => {
    const tenant = await createTenant();
    await tenant.sql`create table public.secret (id serial primary key)`;
    expect(await found(tenant.url)).toContainEqual(
      expect.stringMatching(/^notice sequences: not looked at.*: public\.secret_id_seq$/),
    );
    await tenant.drop();
  });

  test('names rows that refer to nothing', async () => {
    await sql.unsafe(`set session_replication_role = replica;
      insert into rolecall.user_roles (user_pk, role_pk) values (987654, 987654);
      reset session_replication_role`);
    expect(await found()).toEqual([
      expect.stringMatching(/^problem rolecall\.user_roles: 1 of its rows refer to rows of rolecall\.roles/),
      expect.stringMatching(/^problem rolecall\.user_roles: 1 of its rows refer to rows of rolecall\.users/),
    ]);
  });

  test('names a database that was restored without its rows', async () => {
    await sql.unsafe('delete from rolecall.revision');
    expect(await found()).toEqual([
      expect.stringMatching(/^problem rolecall\.revision: its one row is not there/),
    ]);
  });

  test('names an index that was never finished', async () => {
    await sql`create table public.twins as select 1 as one from generate_series(1, 2)`;
    await sql`create unique index concurrently twins_key on public.twins (one)`.catch(() => undefined);
    await sql`create unique index concurrently broken_key on rolecall.roles (is_system)`.catch(
      () => undefined,
    );
    expect(await found()).toEqual([
      expect.stringMatching(/^notice public\.twins_key: a neighbour's/),
      expect.stringMatching(/^problem rolecall\.broken_key: an index of rolecall\.roles/),
    ]);
  });

  test('names the steps that have not run, and what cannot be looked at before', async () => {
    const empty = await createEmptyDatabase();
    const lines = await found(empty.url);
    expect(lines).toContainEqual(
      expect.stringMatching(/^problem 0000_create_rolecall: this step has not run/),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^problem the journal: the tables are not there yet/));
    await empty.drop();
  });

  test('names a journal key that is another', async () => {
    expect(await found(database.url, 'another-key-0123456789-abcdefghijkl')).toEqual([
      'problem ROLECALL_JOURNAL_KEY: the journal was sealed with another key',
    ]);
  });

  test('names a database that cannot be reached, without its password', async () => {
    const url = Object.assign(new URL(database.url), { pathname: '/none-such' }).href;
    const [finding, ...more] = await examine(url, testJournalKey, await readSteps());
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ severity: 'problem', subject: 'DATABASE_URL' });
    const { password } = new URL(url);
    if (password !== '') expect(JSON.stringify(finding)).not.toContain(password);
  });

  test('says role by role whom row-level security does not hold (1.10)', async () => {
    const tenant = await createTenant();
    await tenant.login('plain');
    await tenant.login('bypassing', 'bypassrls');
    await tenant.login('deputy', `in role ${tenant.owner}`);
    const findings = await examine(tenant.url, testJournalKey, await readSteps());
    const about = (name: string) => findings.find(({ subject }) => subject === tenant.nameOf(name))?.cause;
    expect(about('owner')).toMatch(/^owns our tables.*role of this connection/);
    expect(about('bypassing')).toMatch(/^has BYPASSRLS/);
    expect(about('deputy')).toMatch(/^is a member of the owner/);
    expect(about('plain')).toBeUndefined();
    await tenant.drop();
  });

  test('names a clock that is off', async () => {
    const real = Date.now;
    Date.now = () => real() - 90_000;
    try {
      const findings = await asOperator(database.url, 'read only', (transaction) =>
        checkConnection(transaction, database.url),
      );
      expect(findings.map(({ subject, cause }) => `${subject} ${cause}`)).toContainEqual(
        expect.stringMatching(/^the clocks .*(89|90)\.\d s ahead/),
      );
    } finally {
      Date.now = real;
    }
  });

  test('changes nothing', async () => {
    const state = () =>
      sql`select pg_current_wal_insert_lsn()::text, (select xmin::text from rolecall.revision)`;
    const rows =
      await sql`select sum(n_tup_ins + n_tup_upd + n_tup_del)::int as changes from pg_stat_user_tables`;
    const [before] = await state();
    await found();
    const [after] = await state();
    expect(after?.['xmin']).toBe(before?.['xmin']);
    expect(
      await sql`select sum(n_tup_ins + n_tup_upd + n_tup_del)::int as changes from pg_stat_user_tables`,
    ).toEqual(rows);
  });
});

describe('a version of PostgreSQL', () => {
  test.each([
    [140_012, /needs PostgreSQL 15/],
    [150_008, /CVE-2024-10976/],
    [150_009, /alter role/],
    [150_017, /CVE-2026-6473/],
    [180_003, /CVE-2026-6473/],
    [190_000, /tested up to/],
  ])('%s is named for what is wrong with it', (number, cause) => {
    expect(checkVersion(number).map((finding) => finding.cause)).toContainEqual(expect.stringMatching(cause));
  });

  test.each([150_018, 160_014, 170_010, 180_004])('%s is fine', (number) => {
    expect(checkVersion(number)).toEqual([]);
  });
});
