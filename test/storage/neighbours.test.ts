import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import { type PermissionName, parsePermissionName } from '../../src/domain/permissions.ts';
import { operatorCall } from '../../src/services/call.ts';
import { examine } from '../../src/services/doctor.ts';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';

let database: TestDatabase;
let sql: postgres.Sql;
let folder: string;
beforeEach(async () => {
  database = await createEmptyDatabase();
  // The neighbours' own search_path: that of a user called rolecall would find our tables first.
  sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { search_path: 'public' } });
  folder = await mkdtemp(join(tmpdir(), 'rolecall-neighbour-'));
  await sql.unsafe(await readFile(new URL('../support/django.sql', import.meta.url), 'utf8'));
  await migrateDrizzleNeighbour(1);
});
afterEach(async () => {
  await sql.end();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

/** A neighbour that uses drizzle's own migrator with its default journal, and names its tables as we name ours. */
async function migrateDrizzleNeighbour(steps: number): Promise<void> {
  const texts = [
    `create table "users" ("id" serial primary key, "email" text); create table "roles" ("id" serial primary key);
      create table "permissions" ("id" serial primary key, "slug" text unique); create table "migrations" ("name" text);
      create table "revision" ("value" integer); create table "journal" ("entry" text);
      insert into "users" ("email") values ('theirs@example.com')`,
    `alter table "users" add column "name" text`,
  ].slice(0, steps);
  const entries = texts.map((_, idx) => ({
    idx,
    version: '7',
    when: 1_700_000_000_000 + idx,
    tag: `000${idx}_step`,
    breakpoints: true,
  }));
  await mkdir(join(folder, 'meta'), { recursive: true });
  await writeFile(
    join(folder, 'meta/_journal.json'),
    JSON.stringify({ version: '7', dialect: 'postgresql', entries }),
  );
  for (const [index, text] of texts.entries()) await writeFile(join(folder, `000${index}_step.sql`), text);
  await migrate(drizzle(sql), { migrationsFolder: folder });
}

/** Every catalog row and every row that is not PostgreSQL's or ours, to the byte, and which transaction wrote it. */
async function theirs(): Promise<unknown> {
  const foreign = `select oid from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'rolecall', 'rolecall_archive')`;
  const statistics = `'{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[]`;
  const classes = `select oid from pg_class where relnamespace in (${foreign})`;
  const catalogs = {
    pg_namespace: `oid in (${foreign})`,
    pg_class: `oid in (${classes})`,
    pg_attribute: `attrelid in (${classes})`,
    pg_attrdef: `adrelid in (${classes})`,
    pg_constraint: `connamespace in (${foreign})`,
    pg_index: `indrelid in (${classes})`,
    pg_sequence: `seqrelid in (${classes})`,
    pg_proc: `pronamespace in (${foreign})`,
    pg_type: `typnamespace in (${foreign})`,
    pg_policy: `polrelid in (${classes})`,
    pg_default_acl: 'true',
    pg_event_trigger: 'true',
    pg_extension: 'true',
  };
  const found: Record<string, unknown> = {};
  for (const [catalog, condition] of Object.entries(catalogs))
    found[catalog] = [
      ...(await sql.unsafe(
        `select (to_jsonb(c) - ${statistics})::text as row from ${catalog} as c where ${condition} order by 1`,
      )),
    ];
  // Triggers that a foreign key of ours makes carry no name of theirs; all that stand on their tables are theirs.
  found['pg_trigger'] = [
    ...(await sql.unsafe(
      `select to_jsonb(t)::text as row from pg_trigger as t where tgrelid in (${classes}) order by 1`,
    )),
  ];
  const tables = await sql<{ name: string; relkind: string }[]>`
    select oid::regclass::text as name, relkind from pg_class
    where relkind in ('r', 'S') and relnamespace in (select oid from pg_namespace
      where nspname !~ '^pg_' and nspname not in ('information_schema', 'rolecall', 'rolecall_archive')) order by 1`;
  for (const { name, relkind } of tables)
    found[name] = [
      ...(await sql.unsafe(
        relkind === 'S'
          ? `select last_value, is_called from ${name}`
          : `select xmin, ctid, t::text from ${name} as t order by 3`,
      )),
    ];
  return found;
}

const steps = () => readSteps();
const baseline = async () => {
  const runtime = await openTestRuntime(database.url);
  try {
    return await runtime.matrix.apply(operatorCall(20_000), [await readMatrixFile(shippedBaseline)]);
  } finally {
    await runtime.close();
  }
};

describe('beside Django with a lagging sequence and an application with the default drizzle journal', () => {
  test('installing, migrating and applying twice leaves every foreign byte as it was (0.1)', async () => {
    const before = await theirs();
    expect(Object.values(before as object).flat().length).toBeGreaterThan(500);
    for (const changed of [true, false]) {
      const ran = await migrateUp({ url: database.url, steps: await steps() });
      expect(ran.length > 0).toBe(changed);
      expect((await baseline()).changed).toBe(changed);
      expect(await theirs()).toEqual(before);
    }
    await migrateDown({ url: database.url, steps: await steps(), journalKey: testJournalKey }, 99);
    expect(await theirs()).toEqual(before);
  });

  test('the neighbours go on migrating beside us, and we beside them', async () => {
    await migrateUp({ url: database.url, steps: await steps() });
    await migrateDrizzleNeighbour(2);
    expect(await sql`select count(*)::int as steps from drizzle.__drizzle_migrations`).toEqual([
      { steps: 2 },
    ]);
    expect(await migrateUp({ url: database.url, steps: await steps() })).toEqual([]);
    await expect(
      sql`insert into auth_permission (name, content_type_id, codename) values ('x', 1, 'x')`,
    ).rejects.toMatchObject({ constraint_name: 'auth_permission_pkey' });
    expect(await baseline()).toMatchObject({ changed: true });
  });

  test('doctor names the lagging sequence and changes nothing of it (0.2)', async () => {
    await migrateUp({ url: database.url, steps: await steps() });
    await baseline();
    const before = await theirs();
    const findings = await examine(database.url, testJournalKey, await steps());
    expect(findings.filter(({ subject }) => subject.endsWith('_seq'))).toEqual([
      expect.objectContaining({
        severity: 'notice',
        subject: 'public.auth_permission_id_seq',
        cause: expect.stringMatching(/a neighbour's.* gives out 3 or less.* has 60 already/) as string,
      }),
    ]);
    expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    expect(await theirs()).toEqual(before);
  });

  test('two services that register overlapping permissions at once, twenty times over, come to the exact union (0.8)', async () => {
    await migrateUp({ url: database.url, steps: await steps() });
    await baseline();
    const before = await theirs();
    const runtimes = await Promise.all([openTestRuntime(database.url), openTestRuntime(database.url)]);
    const named = (number: number) => {
      const name = parsePermissionName(`neighbour.action_n${number}`);
      if (!name.ok) throw new Error(name.why);
      return { ...(name.value satisfies PermissionName), description: '' };
    };
    await Promise.all(
      Array.from({ length: 20 }, (_, turn) => {
        const { permissions } = runtimes[turn % 2] as (typeof runtimes)[0];
        return permissions.register(
          operatorCall(20_000),
          Array.from({ length: 15 }, (_, n) => named(turn * 5 + n)),
        );
      }),
    );
    await Promise.all(runtimes.map((runtime) => runtime.close()));
    const [row] =
      await sql`select count(*)::int as all, count(distinct slug)::int as different from rolecall.permissions where resource = 'neighbour'`;
    expect(row).toEqual({ all: 110, different: 110 });
    expect(await theirs()).toEqual(before);
  });
});
