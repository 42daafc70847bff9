import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import type { ReadHandle, Sql } from '../../src/storage/database.ts';
import { keysEverNamed } from '../../src/storage/erasure.ts';
import { findPlaces } from '../../src/storage/grant-batches.ts';
import { loadExplanationRows } from '../../src/storage/read-models/explanation-rows.ts';
import { catalogueRevisionAt, everGiven, usersAfter } from '../../src/storage/read-models/history.ts';
import { candidatesFor, grantsAmong } from '../../src/storage/read-models/holders-rows.ts';
import {
  type JournalPosition,
  journalRowsBefore,
  type Lane,
  revisionAt,
} from '../../src/storage/read-models/journal-rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** Enough for a scan of a whole table to cost what an index does not; 4.10 speaks of a million. */
const people = process.env['TEST_LONG'] === undefined ? 100_000 : 1_000_000;
const bigTables = ['users', 'user_roles', 'user_permissions', 'personal', 'journal'];

let database: TestDatabase;
let sql: postgres.Sql;
/** The plans of the statements that the server ran, as it tells them itself: of the very text, with its parameters. */
const told: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, {
    max: 1,
    onnotice: ({ message = '' }) => {
      if (message.includes('plan:')) told.push(message);
    },
    types: {
      texts: {
        to: 1009,
        from: [1009],
        serialize: (texts: readonly string[]) => `{${texts.map((text) => `"${text}"`).join(',')}}`,
        parse: (literal: string) => literal,
      },
    },
    fetch_types: false,
  });
  await populate();
  await sql`load 'auto_explain'`;
  for (const [name, value] of Object.entries({
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    client_min_messages: 'log',
  }))
    await sql`select set_config(${name}, ${value}, false)`;
}, 600_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

/**
 * Everybody is a user everywhere, a loader in one of a thousand warehouses, and half of them have an exception; a few
 * are managers. Every hundredth person is inactive.
 */
async function populate(): Promise<void> {
  await sql`insert into rolecall.users (id, email, active)
    select 'person ' || n, 'person' || n || '@example.com', n % 100 <> 0 from generate_series(1, ${people}::int) as n`;
  const give = (role: string, scope: postgres.Fragment, where: postgres.Fragment) => sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope)
    select users.pk, roles.pk, ${scope} from rolecall.users join rolecall.roles on key = ${role} where ${where}`;
  await give('user', sql`''`, sql`true`);
  await give('loader', sql`'warehouse/' || users.pk % 1000`, sql`true`);
  await give('manager', sql`''`, sql`users.pk % 20000 = 7`);
  await sql`insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope)
    select users.pk, permissions.pk, case when users.pk % 4 = 0 then 'allow' else 'deny' end, ''
    from rolecall.users join rolecall.permissions on slug = 'orders_issue_refund' where users.pk % 2 = 0`;
  await recordAll();
  await sql`vacuum (analyze) rolecall.users, rolecall.user_roles, rolecall.user_permissions, rolecall.journal,
    rolecall.personal`;
}

/** As though each grant had been given by itself, a millisecond after the other. */
async function recordAll(): Promise<void> {
  const [{ value }] = await sql<[{ value: string }]>`select value from rolecall.revision`;
  await sql`
    insert into rolecall.journal (revision, number, time, kind, actor_kind, actor_pk, user_pk, role_pk, after, digests, hmac)
    select ${value}::bigint + row_number() over (order by grants.pk), 1,
      (select max(time) from rolecall.journal) + row_number() over (order by grants.pk) * interval '1 millisecond',
      'grant_set', 'user', grants.pk % 100 + 1, user_pk, role_pk,
      json_build_object('role', key, 'scope', scope, 'origin', origin, 'startsAt', null, 'expiresAt', null), '{}',
      sha256(grants.pk::text::bytea)
    from rolecall.user_roles as grants join rolecall.roles on roles.pk = role_pk`;
  await sql`update rolecall.revision set value = (select max(revision) from rolecall.journal)`;
  await sql`insert into rolecall.personal (revision, number, field, user_pk, salt, value)
    select distinct on (journal.user_pk) revision, number, 'id', users.pk, '', id
    from rolecall.journal join rolecall.users on users.pk = user_pk order by journal.user_pk, revision`;
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

const nodesOf = (node: PlanNode): readonly PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

/** How many rows of big tables a query looks at; throws if it reads one of them as a whole. */
async function rowsLookedAt(query: (sql: Sql) => Promise<unknown>): Promise<number> {
  told.length = 0;
  await query(sql);
  expect(told).toHaveLength(1);
  const plan = JSON.parse(String(told[0]).replace(/^.*?plan:\s*/s, '')) as { Plan: PlanNode };
  const reads = nodesOf(plan.Plan).filter((node) => bigTables.includes(node['Relation Name'] ?? ''));
  expect(reads.length, 'something is read').toBeGreaterThan(0);
  expect(
    reads
      .map((node) => `${node['Node Type']} on ${node['Relation Name']}`)
      .filter((read) => /^Seq/.test(read)),
  ).toEqual([]);
  const looked = reads.map((node) => {
    return (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
  });
  return Math.round(looked.reduce((sum, rows) => sum + rows, 0));
}

const slug = (text: string) => text as PermissionSlug;
const roles = (...keys: string[]) => keys as RoleKey[];
const scopes = (...paths: string[]) => paths as Scope[];
const limit = 250;
const last = people - 10;

const newest: JournalPosition = [Number.MAX_SAFE_INTEGER, 0];
const halfway = people;
const page = (on: Sql, lane: Lane, before = newest) => journalRowsBefore(on, lane, before, 0, limit);

const queries: Readonly<Record<string, (sql: Sql) => Promise<unknown>>> = {
  'why somebody may do something': (on) =>
    loadExplanationRows(on, 'person 4000' as UserId, slug('orders_issue_refund'), scopes('')),
  'who may, where everybody may': (on) =>
    candidatesFor(on, slug('orders_view_order'), {
      roles: roles('user'),
      scopes: scopes(''),
      after: 0,
      limit,
    }),
  'who may, the last page of everybody': (on) =>
    candidatesFor(on, slug('orders_view_order'), {
      roles: roles('user'),
      scopes: scopes(''),
      after: last,
      limit,
    }),
  'who may, in one of many places': (on) =>
    candidatesFor(on, slug('orders_load_order'), {
      roles: roles('loader', 'manager', 'admin'),
      scopes: scopes('warehouse/77/a', 'warehouse/77', 'warehouse', ''),
      after: 0,
      limit,
    }),
  'who may, of few': (on) =>
    candidatesFor(on, slug('adminpanel_view_dashboard'), {
      roles: roles('manager'),
      scopes: scopes(''),
      after: 0,
      limit,
    }),
  'who may by exception': (on) =>
    candidatesFor(on, slug('orders_issue_refund'), { roles: [], scopes: scopes(''), after: 0, limit }),
  'who may of nobody': (on) =>
    candidatesFor(on, slug('no_such'), { roles: roles('accountant'), scopes: scopes(''), after: 0, limit }),
  'who has a role, where everybody has': (on) =>
    grantsAmong(on, { roles: roles('user', 'manager'), scopes: scopes(''), after: [0, 0], limit }),
  'who has a role, the last page of everybody': (on) =>
    grantsAmong(on, { roles: roles('user', 'manager'), scopes: scopes(''), after: [last, 0], limit }),
  'who has a role, in one of many places': (on) =>
    grantsAmong(on, {
      roles: roles('loader'),
      scopes: scopes('warehouse/77', 'warehouse', ''),
      after: [0, 0],
      limit,
    }),
  'what stands where a series of grants goes': (on) =>
    findPlaces(
      { sql: on } as ReadHandle,
      Array.from({ length: 32 }, (_, n) => ({
        user: `person ${4_000 + n}` as UserId,
        role: 'loader' as RoleKey,
        scope: 'warehouse/77' as Scope,
      })),
    ),
};

/** Of the record, and of how it was: looked at as the service has them planned. */
const pastQueries: typeof queries = {
  'the newest of the record': (on) => page(on, null),
  'the record in the middle': (on) => page(on, null, [halfway, 1]),
  'the record of a user': (on) => page(on, { key: 'user_pk', pks: [4_000] }),
  'the record of a role that everybody has': async (on) =>
    page(on, { key: 'role_pk', pks: [await pkOf('user')] }),
  'the record of whoever did much': (on) => page(on, { key: 'actor_pk', pks: [7] }, [halfway, 1]),
  'the record of several who had an id': (on) => page(on, { key: 'user_pk', pks: [40, 4_000, 5_000] }),
  'the record of a permission': (on) => page(on, { key: 'permission_pk', pks: [3] }),
  'who ever had an id': (on) => keysEverNamed(on, ['person 4000' as UserId]),
  'the revision at a time': (on) => revisionAt(on, new Date(Date.now() + 30_000).toISOString()),
  'what a user had': (on) => usersAfter(on, halfway, [4_000]),
  'what a page of users had': (on) =>
    usersAfter(
      on,
      halfway,
      Array.from({ length: limit }, (_, n) => n + 1),
    ),
  'which catalogue there was': (on) => catalogueRevisionAt(on, halfway),
  'who was ever given what everybody was': async (on) =>
    everGiven(on, halfway, 3, { roles: [await pkOf('user')], scopes: scopes(''), after: 0, limit }),
  'who was ever given something in one of many places': async (on) =>
    everGiven(on, 2 * halfway, 3, {
      roles: [await pkOf('loader'), await pkOf('manager')],
      scopes: scopes('warehouse/77/a', 'warehouse/77', 'warehouse', ''),
      after: 0,
      limit,
    }),
};

/** Asked on a connection of its own, of which no plan is told. */
async function pkOf(role: string): Promise<number> {
  const other = postgres(database.url, { max: 1 });
  const [row] = await other<[{ pk: number }]>`select pk::int from rolecall.roles where key = ${role}`;
  await other.end();
  return row.pk;
}

describe.for(['force_custom_plan', 'force_generic_plan'])('planned as %s', (mode) => {
  beforeAll(() => sql`select set_config('plan_cache_mode', ${mode}, false)`);

  test.for(Object.entries({ ...queries, ...(mode === 'force_generic_plan' && pastQueries) }))(
    '%s looks at no more than it needs (4.10)',
    async ([, query], { annotate }) => {
      const rows = await rowsLookedAt(query);
      await annotate(`${rows} rows`);
      // A page and what each of its users has, whatever the number of people.
      expect(rows).toBeLessThan(8 * limit);
    },
  );
});

describe('what is measured is measured:', () => {
  test('a table that is read as a whole is named', async () => {
    const whole = (on: Sql) => on`select count(*) from rolecall.user_roles where reason = 'none'`;
    await expect(rowsLookedAt(whole)).rejects.toThrow(/Seq Scan on user_roles/);
  });

  test('an index that does not know scopes is found out', async () => {
    await sql`begin`;
    try {
      await sql`drop index rolecall.user_roles_holders_index`;
      await sql`create index on rolecall.user_roles (role_pk)`;
      const rows = rowsLookedAt(queries['who may, in one of many places'] as (on: Sql) => Promise<unknown>);
      expect(await rows.catch(() => people)).toBeGreaterThan(8 * limit);
    } finally {
      await sql`rollback`;
    }
  });
});
