import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { migrationStatus } from '../../src/storage/migrations/status.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';

const shipped = fileURLToPath(new URL('../../drizzle/', import.meta.url));
const first = '0000_create_rolecall';
const ours = (await readSteps()).map(({ name }) => name);

let database: TestDatabase;
let sql: postgres.Sql;
let folder: string;
beforeEach(async () => {
  database = await createEmptyDatabase();
  // Nothing is found without its schema, so that names are printed whole.
  sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { search_path: 'pg_catalog' } });
  folder = await mkdtemp(join(tmpdir(), 'rolecall-steps-test-'));
  for (const file of (await readdir(shipped)).filter((name) => name.endsWith('.sql')))
    await cp(join(shipped, file), join(folder, file));
});
afterEach(async () => {
  await sql.end();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Writes a step into the folder. */
async function addStep(name: string, up: string, down: string | null): Promise<void> {
  await writeFile(join(folder, `${name}.sql`), up);
  if (down !== null) await writeFile(join(folder, `${name}.down.sql`), down);
}

const options = async (url = database.url) => ({
  url,
  steps: await readSteps(folder),
  journalKey: testJournalKey,
});
const up = async () => migrateUp(await options());
const down = async (count: number) => migrateDown(await options(), count);
const status = async () => migrationStatus(await options());
const refusal = (text: string | RegExp) => ({
  code: 'migration_refused',
  message: expect.stringMatching(text) as string,
});

/** Every object in the database that is not PostgreSQL's own, and what it is, one line each. */
async function catalog(): Promise<readonly string[]> {
  const rows = await sql<{ line: string }[]>`
    with ours as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
    select format('schema %s %s %s', nspname, pg_get_userbyid(nspowner), nspacl) as line
      from ours join pg_namespace using (oid, nspname)
    union all select format('%s %s %s %s', relkind, oid::regclass, pg_get_userbyid(relowner), relacl)
      from pg_class where relnamespace in (select oid from ours)
    union all select format('column %s.%s %s %s %s %s %s %s %s', attrelid::regclass, attname, attnum,
      format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation,
      pg_get_expr(adbin, adrelid))
      from pg_attribute join pg_class on pg_class.oid = attrelid left join pg_attrdef on (adrelid, adnum) = (attrelid, attnum)
      where relnamespace in (select oid from ours) and attnum > 0 and not attisdropped
    union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace in (select oid from ours)
    union all select pg_get_indexdef(indexrelid) from pg_index join pg_class on pg_class.oid = indexrelid
      where relnamespace in (select oid from ours)
    union all select format('sequence %s %s %s %s %s %s', seqrelid::regclass, seqstart, seqincrement, seqmin, seqmax,
      seqcycle) from pg_sequence join pg_class on pg_class.oid = seqrelid where relnamespace in (select oid from ours)
    union all select pg_get_functiondef(oid) from pg_proc where pronamespace in (select oid from ours)
    union all select format('type %s', oid::regtype) from pg_type where typnamespace in (select oid from ours)
    union all select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
    union all select format('extension %s %s', extname, extversion) from pg_extension
    order by 1`;
  return rows.map(({ line }) => line);
}

/** Every row of every table and sequence in some schemas, with the transaction that wrote it. */
async function rows(schemas: string): Promise<Record<string, unknown>> {
  const tables = await sql<{ name: string; relkind: string }[]>`
    select oid::regclass::text as name, relkind from pg_class
    where relkind in ('r', 'S') and relnamespace::regnamespace::text ~ ${schemas} order by 1`;
  const found: Record<string, unknown> = {};
  for (const { name, relkind } of tables)
    found[name] = [
      ...(await (relkind === 'S'
        ? sql.unsafe(`select last_value, is_called from ${name}`)
        : sql.unsafe(`select xmin, to_jsonb(t) as row from ${name} t order by 2`))),
    ];
  return found;
}

async function names(): Promise<readonly string[]> {
  return (await status()).applied.map(({ name }) => name);
}

describe('the steps of this release', () => {
  test('run from nothing, and say what they did', async () => {
    const progress: string[] = [];
    const ran = await migrateUp({ ...(await options()), onProgress: (line) => progress.push(line) });
    const steps = (await readSteps(folder)).map(({ name }) => name);
    expect(ran).toEqual(steps);
    expect(progress).toEqual(steps.map((name) => `applied ${name}`));
    expect(await names()).toEqual(steps);
    expect((await status()).pending).toEqual([]);
  });

  test('run again change nothing, not even by writing the same (0.6)', async () => {
    await up();
    const before = [await catalog(), await rows('^rolecall$')];
    for (let time = 0; time < 10; time += 1) expect(await up()).toEqual([]);
    expect([await catalog(), await rows('^rolecall$')]).toEqual(before);
  });

  test('up, down and up again leave the catalog that one up leaves, and down only what it keeps (1.6, D-01)', async () => {
    const empty = await catalog();
    await up();
    const migrated = await catalog();
    expect(migrated.length).toBeGreaterThan(100);
    expect(await down(99)).toEqual((await readSteps(folder)).map(({ name }) => name).reverse());
    expect((await catalog()).filter((line) => !line.includes('rolecall_archive'))).toEqual(empty);
    await up();
    expect(await catalog()).toEqual(migrated);
  });

  test('are the same steps in a checkout with other line ends', async () => {
    await up();
    for (const file of await readdir(folder)) {
      const text = await readFile(join(folder, file), 'utf8');
      await writeFile(join(folder, file), text.replaceAll('\n', '\r\n'));
    }
    expect((await status()).pending).toEqual([]);
  });

  test('going down stop at what somebody else built on them, and keep everything', async () => {
    await up();
    await sql`create view public.people as select id from rolecall.users`;
    await down(ours.length - 1);
    const before = [await catalog(), await rows('^rolecall$')];
    await expect(down(99)).rejects.toMatchObject(refusal(/0000_create_rolecall\.down\.sql.*2BP01/s));
    expect([await catalog(), await rows('^rolecall$')]).toEqual(before);
  });
});

describe('a step', () => {
  beforeEach(async () => {
    await up();
  });

  test('is committed in one transaction with its row of the ledger (0.3)', async () => {
    await addStep(
      '0101_note_the_transaction',
      'create table rolecall.seen as select pg_current_xact_id()::text::xid as id',
      'drop table rolecall.seen',
    );
    expect(await up()).toEqual(['0101_note_the_transaction']);
    const written = await sql`select name from rolecall.migrations m join rolecall.seen on m.xmin = seen.id`;
    expect([...written]).toEqual([{ name: '0101_note_the_transaction' }]);
  });

  test('that fails keeps nothing, is named with its SQLSTATE, and runs once it is mended', async () => {
    await addStep('0101_fine', 'create table rolecall.fine ()', 'drop table rolecall.fine');
    await addStep(
      '0102_broken',
      'create table rolecall.half (); insert into rolecall.epochs values (1/0);',
      'drop table rolecall.half',
    );
    await expect(up()).rejects.toMatchObject(refusal(/0102_broken\.sql.*22012/s));
    expect(await names()).toEqual([...ours, '0101_fine']);
    const half = await sql`select to_regclass('rolecall.fine') as fine, to_regclass('rolecall.half') as half`;
    expect(half[0]).toEqual({ fine: 'rolecall.fine', half: null });
    await addStep('0102_broken', 'create table rolecall.half ()', 'drop table rolecall.half');
    expect(await up()).toEqual(['0102_broken']);
  });

  test('cannot end the transaction it runs in: it is refused by name and nothing of it is kept (0.3)', async () => {
    await addStep(
      '0101_commits',
      'create table rolecall.early (); commit; create table rolecall.late (); select 1/0;',
      'drop table rolecall.early',
    );
    await expect(up()).rejects.toMatchObject(refusal(/0101_commits\.sql/));
    expect(await sql`select to_regclass('rolecall.early') as early`).toEqual([{ early: null }]);
    expect([...(await sql`select name from rolecall.migrations`)]).toEqual(ours.map((name) => ({ name })));
  });

  test('whose way down fails is kept with its row, and named with its SQLSTATE', async () => {
    await addStep('0101_one_way', 'create table rolecall.stays ()', 'drop table rolecall.stays; select 1/0');
    await up();
    await expect(down(1)).rejects.toMatchObject(refusal(/0101_one_way\.down\.sql.*22012/s));
    expect(await names()).toEqual([...ours, '0101_one_way']);
    expect(await sql`select * from rolecall.stays`).toEqual([]);
  });

  test('goes down alone, newest first, as many as asked', async () => {
    for (const name of ['0101_a', '0102_b', '0103_c'])
      await addStep(name, `create table rolecall.t${name} ()`, `drop table rolecall.t${name}`);
    await up();
    expect(await down(2)).toEqual(['0103_c', '0102_b']);
    expect(await names()).toEqual([...ours, '0101_a']);
    expect(await up()).toEqual(['0102_b', '0103_c']);
  });

  test('without a way down is refused by name, before anything runs', async () => {
    await addStep('0101_fine', 'create table rolecall.fine ()', 'drop table rolecall.fine');
    await addStep('0102_no_return', 'create table rolecall.lost ()', null);
    await expect(up()).rejects.toMatchObject(refusal(/0102_no_return\.down\.sql/));
    expect(await sql`select to_regclass('rolecall.fine') as fine`).toEqual([{ fine: null }]);
  });
});

describe('files and ledger that contradict each other', () => {
  beforeEach(async () => {
    await addStep('0102_two', 'create table rolecall.two ()', 'drop table rolecall.two');
    await up();
  });

  const contradictions: readonly (readonly [string, RegExp, () => Promise<unknown>])[] = [
    ['an edited step', /^0102_two\.sql was edited/, () => edit('0102_two.sql')],
    ['an edited way down', /^0102_two\.down\.sql was edited/, () => edit('0102_two.down.sql')],
    ['a missing step', /^0102_two\.sql is missing/, () => remove('0102_two')],
    ['a step out of order', /^0101_late\.sql is out of order/, () => addStep('0101_late', 'select 1', '')],
    [
      'a second step of one number',
      /^0102_twin\.sql is out of order/,
      () => addStep('0102_twin', 'select 1', ''),
    ],
    [
      'all of them',
      /^0000_create_rolecall\.sql was edited[^\n]*\n0102_two\.sql is missing[^\n]*\n0101_late\.sql is out/,
      () => Promise.all([edit(`${first}.sql`), remove('0102_two'), addStep('0101_late', 'select 1', '')]),
    ],
  ];

  test.each(contradictions)('are refused by every command, naming %s', async (_, message, contradict) => {
    await contradict();
    await addStep('0103_next', 'create table rolecall.next ()', 'drop table rolecall.next');
    const before = [await catalog(), await rows('^rolecall$')];
    for (const command of [up, () => down(1), status])
      await expect(command()).rejects.toMatchObject(refusal(message));
    expect([await catalog(), await rows('^rolecall$')]).toEqual(before);
  });

  test('because the database is newer than the code are refused, while the service looks only for what it needs (F-18)', async () => {
    await sql`insert into rolecall.migrations (position, name, hash, down_hash)
      values (9999, '9999_from_the_future', ${'0'.repeat(64)}, ${'0'.repeat(64)})`;
    for (const command of [up, () => down(1), status])
      await expect(command()).rejects.toMatchObject(refusal(/9999_from_the_future\.sql is missing.*newer/s));
    const runtime = await openTestRuntime(database.url);
    const readiness = await runtime.health.readiness(dueIn(20_000)).finally(() => runtime.close());
    expect(readiness.problems).toEqual([
      { problem: 'no matrix has been applied', command: 'rolecall matrix apply' },
    ]);
  });

  async function edit(file: string): Promise<void> {
    await writeFile(
      join(folder, file),
      `${await readFile(join(folder, file), 'utf8')}\n-- one more thought\n`,
    );
  }

  async function remove(name: string): Promise<void> {
    for (const file of [`${name}.sql`, `${name}.down.sql`]) await rm(join(folder, file));
  }
});

describe('a database that is not ours alone', () => {
  test('needs to give us no more than a schema that belongs to us', async () => {
    const { url, drop } = await makeTenant();
    try {
      expect(await migrateUp(await options(url))).toEqual(ours);
      await expectToWork(url, 'ada');
    } finally {
      await drop();
    }
  });

  test('lets a tenant that may make nothing else go down and up again, once it has a place to keep things', async () => {
    const { url, drop } = await makeTenant();
    try {
      await migrateUp(await options(url));
      const migrated = await catalog();
      const refused = migrateDown(await options(url), 99);
      await expect(refused).rejects.toMatchObject(refusal(/create schema rolecall_archive authorization/));
      const { username } = new URL(url);
      await sql.unsafe(`create schema rolecall_archive authorization ${username}`);
      await migrateDown(await options(url), 99);
      expect(await migrateUp(await options(url))).toEqual(ours);
      expect((await catalog()).filter((line) => !line.startsWith('schema rolecall_archive '))).toEqual(
        migrated,
      );
    } finally {
      await drop();
    }
  });

  test('keeps every foreign object and row as it was, twice over, beside Django and another drizzle (0.1, 0.2)', async () => {
    await sql.unsafe(neighbours);
    const theirs = async () => [
      (await catalog()).filter((line) => !line.includes('rolecall')),
      await rows('^(public|drizzle)$'),
    ];
    const before = await theirs();
    for (const person of ['ada', 'bea']) {
      await up();
      await expectToWork(database.url, person);
      expect(await theirs()).toEqual(before);
    }
    await down(99);
    expect(await theirs()).toEqual(before);
    await expect(sql`insert into public.auth_permission (name, content_type_id, codename)
      values ('x', 1, 'x')`)
      .rejects // The fault that a neighbour's table had before us is still its own.
      .toMatchObject({ code: '23505', constraint_name: 'auth_permission_pkey' });
  });

  /** A role that may connect and owns the schema `rolecall`, and may do nothing else at all. */
  async function makeTenant(): Promise<{ url: string; drop: () => Promise<void> }> {
    const role = new URL(database.url).pathname.slice(1).replace('test', 'tenant');
    const name = new URL(database.url).pathname.slice(1);
    await sql.unsafe(`
      create role ${role} login password 'tenant';
      revoke all on database ${name} from public;
      grant connect on database ${name} to ${role};
      revoke all on schema public from public;
      create schema rolecall authorization ${role}`);
    const url = Object.assign(new URL(database.url), { username: role, password: 'tenant' }).href;
    return {
      url,
      drop: async () => void (await sql.unsafe(`drop owned by ${role} cascade; drop role ${role}`)),
    };
  }

  async function expectToWork(url: string, person: string): Promise<void> {
    const runtime = await openTestRuntime(url);
    try {
      await runtime.matrix.apply(operatorCall(20_000), [await readMatrixFile(shippedBaseline)]);
      const user = { id: person as UserId, email: null, active: true };
      expect(await runtime.users.create(operatorCall(20_000), user)).toMatchObject({ changed: true });
      expect(await runtime.health.readiness(dueIn(20_000))).toMatchObject({ ready: true });
    } finally {
      await runtime.close();
    }
  }

  const neighbours = `
    set search_path = public;
    create table django_migrations (id bigint generated by default as identity primary key, app varchar(255) not null,
      name varchar(255) not null, applied timestamptz not null);
    create table django_content_type (id integer generated by default as identity primary key,
      app_label varchar(100) not null, model varchar(100) not null, unique (app_label, model));
    create table auth_permission (id integer generated by default as identity primary key, name varchar(255) not null,
      content_type_id integer not null references django_content_type deferrable initially deferred,
      codename varchar(100) not null, unique (content_type_id, codename));
    create table auth_group (id integer generated by default as identity primary key, name varchar(150) not null unique);
    create table auth_group_permissions (id bigint generated by default as identity primary key,
      group_id integer not null references auth_group, permission_id integer not null references auth_permission,
      unique (group_id, permission_id));
    create table auth_user (id integer generated by default as identity primary key, password varchar(128) not null,
      is_superuser boolean not null, username varchar(150) not null unique, email varchar(254) not null);
    create index auth_user_username_like on auth_user (username varchar_pattern_ops);
    create table auth_user_groups (id bigint generated by default as identity primary key,
      user_id integer not null references auth_user, group_id integer not null references auth_group);
    insert into django_migrations (app, name, applied) values ('auth', '0101_initial', now());
    insert into django_content_type (app_label, model) values ('auth', 'permission'), ('adminpanel', 'document');
    insert into auth_permission (id, name, content_type_id, codename)
      select n, 'Can ' || n, 1 + n % 2, 'codename_' || n from generate_series(1, 40) as n;
    -- The sequence lags behind max(id), as in the seed.
    select setval(pg_get_serial_sequence('auth_permission', 'id'), 3);
    insert into auth_group (name) values ('Loader');
    insert into auth_group_permissions (group_id, permission_id) select 1, n from generate_series(1, 40) as n;
    insert into auth_user (password, is_superuser, username, email) values ('!', true, 'admin', 'a@example.com');
    create schema drizzle;
    create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
    insert into drizzle.__drizzle_migrations (hash, created_at) values ('abc', 1);
    create table users (id serial primary key, email text); create table roles (id serial primary key);
    create table permissions (id serial primary key); create table migrations (name text);
    create table revision (value integer); create table journal (entry text);
    insert into users (email) values ('theirs@example.com'); insert into migrations values ('theirs');
    create function gen_random_uuid() returns uuid language sql as $$ select null::uuid $$;
    set search_path = pg_catalog;`;
});
