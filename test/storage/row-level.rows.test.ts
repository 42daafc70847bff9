import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { createTenant, type Tenant } from '../support/tenant.ts';

/** A table that has rows, one of them as JSON, and the columns that can be written. */
interface Table {
  readonly name: string;
  readonly columns: string;
  readonly row: string;
  readonly rows: number;
}

let tenant: Tenant;
/** Granted every table of ours by mistake. */
let granted: postgres.Sql;
/** A neighbour who was granted its own table, whose policy asks us. */
let neighbour: postgres.Sql;
let ours: readonly Table[];
let theirs: Table;

beforeAll(async () => {
  tenant = await createTenant();
  await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
  const connect = (url: string) => postgres(url, { max: 1, onnotice: () => {} });
  granted = connect(await tenant.login('granted'));
  neighbour = connect(await tenant.login('neighbour', 'in role rolecall_reader'));
  await tenant.sql.unsafe(`
    insert into rolecall.users (id) values ('ada'), ('bea');
    insert into rolecall.permissions (resource, action) values ('documents', 'view_document');
    insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope)
      select u.pk, p.pk, 'allow', 'org/' || u.id from rolecall.users as u, rolecall.permissions as p;
    create table public.documents (id int primary key, name text, scope text);
    insert into public.documents values (1, 'one', 'org/ada'), (2, 'two', null), (3, 'three', 'org');
    alter table public.documents enable row level security;
    alter table public.documents force row level security;
    create policy readers on public.documents
      using (rolecall.covers((select rolecall.scopes_of('documents_view_document')), scope));
    grant usage on schema rolecall to ${tenant.nameOf('granted')};
    grant all on all tables in schema rolecall to ${tenant.nameOf('granted')};
    grant execute on function rolecall.acts_for_owner, rolecall.acts_for_service to ${tenant.nameOf('granted')};
    grant all on public.documents to rolecall_reader`);
  const names = await tenant.sql<{ name: string }[]>`
    select format('rolecall.%I', relname) as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'`;
  for (const { name } of names) await fill(name);
  ours = await Promise.all(names.map(({ name }) => describeTable(name)));
  theirs = await describeTable('public.documents');
});
afterAll(async () => {
  await granted.end();
  await neighbour.end();
  await tenant.drop();
});

/** Puts a row into a table that has none, whatever rules it has: they hold back nobody, and this is about who is. */
async function fill(table: string): Promise<void> {
  const [row] = await tenant.sql.unsafe(`select from ${table} limit 1`);
  if (row) return;
  const rules = await tenant.sql<{ name: string }[]>`
    select quote_ident(conname) as name from pg_constraint where conrelid = ${table}::regclass and contype <> 'n'`;
  for (const { name } of rules)
    await tenant.sql.unsafe(`alter table ${table} drop constraint if exists ${name} cascade`);
  const needed = await tenant.sql<{ name: string }[]>`
    select quote_ident(attname) as name from pg_attribute
    where attrelid = ${table}::regclass and attnum > 0 and attnotnull and attidentity = ''`;
  for (const { name } of needed) await tenant.sql.unsafe(`alter table ${table} alter ${name} drop not null`);
  await tenant.sql.unsafe(`insert into ${table} default values`);
}

async function describeTable(name: string): Promise<Table> {
  const [columns] = await tenant.sql<[{ list: string }]>`
    select string_agg(quote_ident(attname), ', ' order by attnum) as list from pg_attribute
    where attrelid = ${name}::regclass and attnum > 0 and not attisdropped and attgenerated = ''`;
  const [found] = await tenant.sql.unsafe<[{ row: string; rows: number }]>(
    `select to_jsonb(t)::text as row, count(*) over ()::int as rows from ${name} as t limit 1`,
  );
  return { name, columns: columns.list, ...found };
}

/** What a statement comes to, how many rows it saw or changed or how it was refused; nothing of it stays. */
async function outcome(sql: postgres.Sql, settings: readonly string[], statement: string): Promise<string> {
  const stop = new Error('undone');
  let rows = 'unknown';
  try {
    await sql.begin(async (transaction) => {
      for (const setting of settings) await transaction.unsafe(setting);
      rows = `${(await transaction.unsafe(statement)).count} rows`;
      throw stop;
    });
  } catch (error) {
    if (error === stop) return rows;
    // What no privilege and what no policy allows, and COPY into a table with policies, which there is not.
    if (error instanceof postgres.PostgresError && ['42501', '0A000'].includes(error.code)) return 'refused';
    throw error;
  }
  return rows;
}

async function copied(sql: postgres.Sql, settings: readonly string[], table: string): Promise<string> {
  return (await sql.begin(async (transaction) => {
    for (const setting of settings) await transaction.unsafe(setting);
    let text = '';
    for await (const chunk of await transaction.unsafe(`copy ${table} to stdout`).readable()) text += chunk;
    return `${text.split('\n').length - 1} rows`;
  })) as string;
}

const settings: Readonly<Record<string, readonly string[]>> = {
  'no setting': [],
  'an empty setting': [`set local rolecall.user_id = ''`, `set local request.jwt.claims = ''`],
  'a setting of garbage': [`set local rolecall.user_id = E'\\x01\\'; drop table x; --'`],
  'claims of garbage': [`set local request.jwt.claims = '{"iss": ["x"], "sub": {"a": null}}'`],
  'the setting of another user': [`set local rolecall.user_id = 'bea'`],
};

/** Each verb, and what it must come to for somebody to whom no row is shown. */
const verbs: Readonly<Record<string, readonly [statement: (table: Table) => string, due: string]>> = {
  select: [({ name }) => `select * from ${name}`, '0 rows'],
  'select for update': [({ name }) => `select * from ${name} for update`, '0 rows'],
  insert: [(table) => given(table), 'refused'],
  'insert returning': [(table) => `${given(table)} returning *`, 'refused'],
  update: [(table) => `update ${table.name} set ${same(table)}`, '0 rows'],
  'update returning': [(table) => `update ${table.name} set ${same(table)} returning *`, '0 rows'],
  delete: [({ name }) => `delete from ${name}`, '0 rows'],
  'delete returning': [({ name }) => `delete from ${name} returning *`, '0 rows'],
  'merge that deletes': [
    (table) =>
      `merge into ${table.name} as t using (values (1)) as v on ${own(table)} when matched then delete`,
    '0 rows',
  ],
  'merge that deletes unseen': [
    ({ name }) => `merge into ${name} using (values (1)) as v on true when matched then delete`,
    'refused',
  ],
  'merge that updates': [
    (table) =>
      `merge into ${table.name} as t using (values (1)) as v on ${own(table)} when matched then update set ${same(table)}`,
    '0 rows',
  ],
  'merge that inserts': [
    ({ name, columns, row }) => `merge into ${name} using ${record(name, row)} as r on false
      when not matched then insert (${columns}) overriding system value values (${columns.replace(/(^|, )/g, '$1r.')})`,
    'refused',
  ],
  'upsert that does nothing': [(table) => `${given(table)} on conflict do nothing`, 'refused'],
  'copy into': [({ name }) => `copy ${name} from stdin`, 'refused'],
};
const record = (name: string, row: string) =>
  `jsonb_populate_record(null::${name}, '${row.replaceAll("'", "''")}')`;
const given = ({ name, columns, row }: Table) =>
  `insert into ${name} (${columns}) overriding system value select ${columns} from ${record(name, row)}`;
const last = ({ columns }: Table) => columns.split(', ').at(-1);
const same = (table: Table) => `${last(table)} = ${last(table)}`;
/** True of every row, and only who may read it can tell. */
const own = (table: Table) => `t.${last(table)} is not distinct from t.${last(table)}`;

describe('to whom no policy shows a row', () => {
  test.each(Object.keys(settings))(
    'whoever was granted every table of ours sees, changes and adds none of any, by any verb, with %s (D-07)',
    async (setting) => {
      expect(ours.length).toBeGreaterThan(15);
      for (const table of ours) {
        expect(table.rows).toBeGreaterThan(0);
        for (const [verb, [statement, due]] of Object.entries(verbs))
          expect([
            table.name,
            verb,
            await outcome(granted, settings[setting] ?? [], statement(table)),
          ]).toEqual([table.name, verb, due]);
        expect([table.name, await copied(granted, settings[setting] ?? [], table.name)]).toEqual([
          table.name,
          '0 rows',
        ]);
      }
    },
  );

  test.each(Object.keys(settings))(
    "a neighbour who asks us sees, changes and adds none of its own table's, by any verb, with %s (D-07)",
    async (setting) => {
      const of = settings[setting] ?? [];
      for (const [verb, [statement, due]] of Object.entries(verbs))
        expect([verb, await outcome(neighbour, of, statement(theirs))]).toEqual([verb, due]);
      const upsert = `${given(theirs)} on conflict (id) do update set name = 'taken'`;
      expect(await outcome(neighbour, of, upsert)).toBe('refused');
      expect(await copied(neighbour, of, theirs.name)).toBe('0 rows');
    },
  );

  test('the same statements work for who is shown rows', async () => {
    const ada = [`set local rolecall.user_id = 'ada'`];
    expect(await copied(neighbour, ada, theirs.name)).toBe('1 rows');
    for (const [verb, [statement, due]] of Object.entries(verbs).filter(([, [, due]]) => due === '0 rows'))
      expect([verb, due, await outcome(neighbour, ada, statement(theirs))]).toEqual([verb, due, '1 rows']);
  });
});

describe('a prepared statement', () => {
  /** What the statement counts for the login, before and after a change that somebody else makes meanwhile. */
  async function beforeAndAfter(
    login: string,
    clause: string,
    table: string,
    change: string,
  ): Promise<number[]> {
    const sql = postgres(await tenant.login(login, clause), { max: 1, onnotice: () => {} });
    const role = tenant.nameOf(login);
    await tenant.sql.unsafe(`grant usage on schema rolecall to ${role}; grant select on ${table} to ${role};
      grant execute on function rolecall.acts_for_owner, rolecall.acts_for_service, rolecall.covers, rolecall.scopes_of to ${role}`);
    await sql.unsafe(`set plan_cache_mode = force_generic_plan; set rolecall.user_id = 'ada';
      prepare counting as select count(*)::int as n from ${table}`);
    const count = async () => (await sql.unsafe<[{ n: number }]>('execute counting'))[0].n;
    try {
      // Its plan is kept from here on.
      const before = [await count(), await count()].at(-1) as number;
      await tenant.sql.unsafe(change.replaceAll('LOGIN', role));
      return [before, await count()];
    } finally {
      await sql.end();
    }
  }

  test('of ours shows nothing more once a membership is taken away, and everything once it is given (CVE-2026-14666, D-07)', async () => {
    const all = ours.find(({ name }) => name === 'rolecall.users')?.rows ?? 0;
    const was = await beforeAndAfter(
      'was',
      'in role rolecall_service',
      'rolecall.users',
      'revoke rolecall_service from LOGIN',
    );
    expect(was).toEqual([all, 0]);
    const becomes = await beforeAndAfter('becomes', '', 'rolecall.users', 'grant rolecall_service to LOGIN');
    expect(becomes).toEqual([0, all]);
  });

  test('of a neighbour follows what is granted and withdrawn between its executions', async () => {
    const withdraw = `update rolecall.users set active = false where id = 'ada'`;
    expect(await beforeAndAfter('follows', 'in role rolecall_reader', 'public.documents', withdraw)).toEqual([
      1, 0,
    ]);
    await tenant.sql`update rolecall.users set active = true where id = 'ada'`;
  });

  test('shows what the role of the moment may see, whichever role it was prepared as', async () => {
    const one = tenant.nameOf('granted');
    const sql = postgres(tenant.superuserUrl, { max: 1, onnotice: () => {} });
    await sql.unsafe(`set plan_cache_mode = force_generic_plan;
      prepare counting as select count(*)::int as n from rolecall.users`);
    const count = async () => (await sql.unsafe<[{ n: number }]>('execute counting'))[0].n;
    const all = await count();
    expect(all).toBeGreaterThan(0);
    for (let round = 0; round < 3; round += 1) {
      await sql.unsafe(`set role ${one}`);
      expect(await count()).toBe(0);
      await sql.unsafe('set role rolecall_service');
      expect(await count()).toBe(all);
      await sql.unsafe('reset role');
      expect(await count()).toBe(all);
    }
    await sql.end();
  });
});
