import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/domain/ids.ts';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { openHealth } from '../../src/services/health.ts';
import { openDatabase } from '../../src/storage/database.ts';
import type { CatalogObject } from '../../src/storage/migrations/catalog.ts';
import { findDrift } from '../../src/storage/migrations/drift.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import { furtherSteps, later, liveCatalog, openWorkshop, type Workshop } from '../support/steps.ts';

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
  await migrateUp(await options());
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

const options = async () => ({
  url: database.url,
  steps: await workshop.steps(),
  journalKey: testJournalKey,
});
const verify = async () => verifyDatabase(await options());

describe('the catalog', () => {
  test('is described alike on every PostgreSQL, whatever is in it', async () => {
    const described = (await liveCatalog(sql)).filter(({ name }) => /team|nickname/.test(name));
    await expect(
      described.map(({ name, definition }) => `${name}: ${definition}\n`).join(''),
    ).toMatchFileSnapshot('described.txt');
  });

  const differences: readonly (readonly [string, string, object])[] = [
    [
      'a table that is gone',
      'drop table rolecall.idempotency',
      { object: 'table idempotency', fault: 'missing', step: '0000_create_rolecall' },
    ],
    [
      'a table of a later step that is gone',
      'drop table rolecall.team_members',
      { object: 'table team_members', fault: 'missing', step: later(2, 'create_teams') },
    ],
    [
      'a table that nobody expects',
      'create table rolecall.extra (pk int primary key)',
      { object: 'table extra', fault: 'unexpected', step: null },
    ],
    [
      'a column that is gone',
      'alter table rolecall.users drop nickname cascade',
      { object: 'column users.nickname', fault: 'missing', step: later(1, 'add_nickname_to_users') },
    ],
    [
      'a column added by hand (1.5)',
      'alter table rolecall.users add shoe_size int',
      { object: 'column users.shoe_size', fault: 'unexpected', step: null },
    ],
    [
      'a changed type',
      'alter table rolecall.teams alter size type bigint',
      { object: 'column teams.size', fault: 'changed', step: later(2, 'create_teams') },
    ],
    [
      'a changed collation',
      'alter table rolecall.users alter id type text collate "default"',
      { object: 'column users.id', fault: 'changed' },
    ],
    [
      'a column that may be null',
      'alter table rolecall.roles alter name drop not null',
      { object: 'column roles.name', fault: 'changed' },
    ],
    [
      'a changed default',
      'alter table rolecall.users alter active set default false',
      {
        object: 'column users.active',
        expected: 'boolean not null default true',
        found: 'boolean not null default false',
      },
    ],
    [
      'a constraint that is gone',
      'alter table rolecall.users drop constraint users_id_length',
      { object: 'constraint users.users_id_length', fault: 'missing', step: '0000_create_rolecall' },
    ],
    [
      'a weaker foreign key',
      'alter table rolecall.user_roles drop constraint user_roles_user_pk_users_pk_fk, add constraint user_roles_user_pk_users_pk_fk foreign key (user_pk) references rolecall.users on delete cascade',
      { object: 'constraint user_roles.user_roles_user_pk_users_pk_fk', fault: 'changed' },
    ],
    [
      'an index that is gone',
      'drop index rolecall.users_nickname_index',
      {
        object: 'index users.users_nickname_index',
        fault: 'missing',
        step: later(3, 'index_users_by_nickname'),
      },
    ],
    [
      'an index that is invalid',
      `update pg_index set indisvalid = false where indexrelid = 'rolecall.users_nickname_index'::regclass`,
      {
        object: 'index users.users_nickname_index',
        fault: 'changed',
        found: expect.stringMatching(/ invalid$/),
      },
    ],
    [
      'another function body',
      `create or replace function rolecall.count_member() returns trigger language plpgsql as 'begin return null; end'`,
      { object: 'function count_member()', fault: 'changed', step: later(4, 'protect_teams') },
    ],
    [
      'a trigger that is off',
      'alter table rolecall.team_members disable trigger team_members_counted',
      { object: 'trigger team_members.team_members_counted', fault: 'changed' },
    ],
    [
      'a wider policy',
      'alter policy teams_open on rolecall.teams using (true)',
      { object: 'policy teams.teams_open', fault: 'changed', step: later(4, 'protect_teams') },
    ],
    [
      'row-level security switched off where it was forced (1.10)',
      'alter table rolecall.users disable row level security',
      { object: 'table users', fault: 'changed', step: '0001_add_row_level_security' },
    ],
    [
      'row-level security that lets the owner around it (1.10)',
      'alter table rolecall.users no force row level security',
      { object: 'table users', fault: 'changed', step: '0001_add_row_level_security' },
    ],
    [
      'row security that is off',
      'alter table rolecall.teams disable row level security',
      { object: 'table teams', fault: 'changed', step: later(4, 'protect_teams') },
    ],
    [
      'a grant to everybody',
      'grant select on rolecall.users to public',
      { object: 'grant table users to public', fault: 'unexpected', found: 'SELECT' },
    ],
    [
      'a grant on a column',
      'grant select (email) on rolecall.users to public',
      { object: 'grant column users.email to public', fault: 'unexpected' },
    ],
    [
      'a grant that is gone',
      'revoke select (name) on rolecall.teams from public',
      { object: 'grant column teams.name to public', fault: 'missing', step: later(4, 'protect_teams') },
    ],
    [
      'a sequence that runs in circles',
      'alter sequence rolecall.users_pk_seq cycle',
      { object: 'sequence users_pk_seq', fault: 'changed' },
    ],
    [
      'another view',
      'create or replace view rolecall.open_teams as select name from rolecall.teams',
      { object: 'view open_teams', fault: 'changed' },
    ],
    [
      'another enum',
      `alter type rolecall.team_kind add value 'secret'`,
      { object: 'type team_kind', fault: 'changed' },
    ],
  ];

  test.each(differences)(
    'names %s with the object and the step that made it (0.3)',
    async (_, statement, difference) => {
      expect(isWhole(await verify())).toBe(true);
      await sql.unsafe(statement);
      const found = await verify();
      expect(isWhole(found)).toBe(false);
      expect(found.drift[0]).toMatchObject(difference);
      expect(found.drift.length).toBeLessThanOrEqual(statement.includes('cascade') ? 3 : 1);
    },
  );

  test('is known with the database roles installed and without', () => {
    const table: CatalogObject = { name: 'table users', definition: '' };
    const grant: CatalogObject = { name: 'grant table users to rolecall_service', definition: 'SELECT' };
    const step = { name: '0000_a', catalog: [table], roleGrants: [grant] } as never;
    expect(findDrift([step], [table])).toEqual([]);
    expect(findDrift([step], [table, grant])).toEqual([]);
    const wider = { ...grant, definition: 'DELETE, SELECT' };
    expect(findDrift([step], [table, wider])).toMatchObject([
      { object: grant.name, fault: 'changed', step: '0000_a' },
    ]);
    const other = { ...grant, name: 'grant table users to rolecall_reader' };
    expect(findDrift([step], [table, other]).map(({ fault }) => fault)).toEqual(['unexpected', 'missing']);
  });
});

describe('the rows', () => {
  const breaches: readonly (readonly [string, string, RegExp])[] = [
    [
      'a declared permission that is gone',
      `update rolecall.permissions set retired_at = now() where slug = 'orders_view_order'`,
      /the permission orders_view_order, which layer baseline declares, is not registered/,
    ],
    [
      'a declared role that is gone',
      `update rolecall.roles set key = 'foreman' where key = 'manager'`,
      /the role manager, which layer baseline declares, does not exist/,
    ],
    [
      'an edge that leads nowhere',
      `insert into rolecall.role_permissions values ((select min(pk) from rolecall.roles), 999999, 'api')`,
      /an edge of role 1 to permission 999999 leads nowhere/,
    ],
    [
      'an include that leads nowhere',
      `insert into rolecall.role_includes values ((select min(pk) from rolecall.roles), 999999, 'api')`,
      /an include of role 999999 in role 1 leads nowhere/,
    ],
    [
      'a grant that leads nowhere',
      'insert into rolecall.user_roles (user_pk, role_pk) values (999999, 1)',
      /a grant of role 1 to user 999999 leads nowhere/,
    ],
    [
      'an exception that leads nowhere',
      `insert into rolecall.user_permissions (user_pk, permission_pk, effect) values (999999, 1, 'deny')`,
      /an exception of user 999999/,
    ],
    [
      'an identity that belongs to nobody',
      `insert into rolecall.identities (user_pk, issuer, subject) values (999999, 'i', 's')`,
      /belongs to user 999999/,
    ],
    [
      'roles that include themselves',
      `insert into rolecall.role_includes select b.pk, a.pk, 'api' from rolecall.roles a, rolecall.roles b where a.key = 'manager' and b.key = 'viewer'`,
      /the role viewer includes itself/,
    ],
    [
      'an identity behind its rows (0.2)',
      `insert into rolecall.users (id) values ('a'), ('b'); select setval('rolecall.users_pk_seq', 1)`,
      /identity of rolecall\.users would give 2 next, but 3 is taken: select setval\('rolecall\.users_pk_seq', 3\)/,
    ],
    ['no revision row', 'delete from rolecall.revision', /rolecall\.revision/],
    [
      'an edited row of the journal',
      `update rolecall.journal set kind = 'role_deleted' where (revision, number) = (1, 3)`,
      /^journal row 1\.3 is not as it was sealed/,
    ],
    [
      'a row of the journal that is gone',
      'delete from rolecall.personal; delete from rolecall.journal where (revision, number) = (1, 3)',
      /^journal row 1\.4 does not follow 1\.2: rows are missing/,
    ],
    [
      'a journal cut at its end',
      'delete from rolecall.journal where revision = (select max(revision) from rolecall.journal)',
      /the journal ends at revision \d+, and rolecall\.revision says otherwise/,
    ],
    [
      'two rows that changed places',
      'update rolecall.journal set number = case number when 3 then -1 else 3 end where revision = 1 and number in (3, 4); update rolecall.journal set number = 4 where number = -1',
      /^journal row 1\.3 is not as it was sealed/,
    ],
    [
      'an altered personal value',
      `update rolecall.personal set value = 'mallory'`,
      /^the personal value \w+ of journal row 6\.1 is not as it was sealed/,
    ],
  ];

  beforeEach(async () => {
    const runtime = await openTestRuntime(database.url);
    await runtime.users.create(operatorCall(20_000), { id: 'ada' as UserId, email: null, active: true });
    await runtime.close();
  });

  test.each(breaches)('name %s', async (_, statement, breach) => {
    const before = await verify();
    expect(before).toMatchObject({ drift: [], breaches: [] });
    // As the owner of a cluster could, without the constraints that forbid it.
    await sql.begin((transaction) =>
      transaction.unsafe(`set local session_replication_role = replica; ${statement}`),
    );
    const { breaches: found, drift } = await verify();
    expect(drift).toEqual([]);
    expect(found).toContainEqual(expect.stringMatching(breach));
  });

  test('may lose what was erased of a person, and the chain stays whole', async () => {
    const runtime = await openTestRuntime(database.url);
    const call = () => operatorCall(20_000);
    await runtime.users.create(call(), { id: 'gone' as UserId, email: 'gone@x.y', active: true });
    await runtime.users.erase(call(), 'gone' as UserId);
    await runtime.close();
    expect(isWhole(await verify())).toBe(true);
  });

  test('may not lose it of somebody of whom no entry says so', async () => {
    await sql`delete from rolecall.personal`;
    const { breaches: found } = await verify();
    expect(found).toContainEqual(
      expect.stringMatching(/^the personal value .* is gone, though nobody was erased/),
    );
  });

  test('are refused to be judged with another key', async () => {
    const other = { ...(await options()), journalKey: 'another key, another key, another key' };
    await expect(verifyDatabase(other)).rejects.toMatchObject({
      code: 'migration_refused',
      message: /another ROLECALL_JOURNAL_KEY/,
    });
  });

  test('are read in part after part, however many there are', async () => {
    const runtime = await openTestRuntime(database.url);
    for (let n = 0; n < 40; n += 1) {
      const user = { id: `user ${n}` as UserId, email: `${n}@x.y`, active: true };
      await runtime.users.create(operatorCall(20_000), user);
    }
    await runtime.close();
    expect(isWhole(await verify())).toBe(true);
  });
});

describe('readiness', () => {
  const readiness = async () => {
    const pool = openDatabase({
      url: database.url,
      poolSize: 1,
      connectTimeoutMs: 5_000,
      statementTimeoutMs: 20_000,
    });
    const health = openHealth(pool, await workshop.steps(), testJournalKey);
    return health.readiness(dueIn(20_000)).finally(() => pool.close());
  };

  test.each([
    ['table team_members', 'drop table rolecall.team_members'],
    ['column users.nickname', 'alter table rolecall.users drop nickname cascade'],
    ['constraint users.users_id_key', 'alter table rolecall.users drop constraint users_id_key'],
    [
      'index users.users_nickname_index',
      `update pg_index set indisvalid = false where indexrelid = 'rolecall.users_nickname_index'::regclass`,
    ],
  ])(
    'is gone without the %s, which it names with the command that helps (0.3)',
    async (object, statement) => {
      expect(await readiness()).toEqual({ ready: true, problems: [] });
      await sql.unsafe(statement);
      expect(await readiness()).toMatchObject({
        ready: false,
        problems: [
          { problem: expect.stringContaining(object) as string, command: 'rolecall migrate verify' },
        ],
      });
    },
  );

  test('does not mind what others put beside', async () => {
    await sql`create index mine on rolecall.users (active)`;
    expect(await readiness()).toMatchObject({ ready: true });
  });
});
