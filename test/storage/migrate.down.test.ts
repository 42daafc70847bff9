import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DownOptions, migrateDown } from '../../src/storage/migrations/down.ts';
import { migrationHistory } from '../../src/storage/migrations/status.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import {
  furtherSteps,
  later,
  liveCatalog,
  liveRows,
  openWorkshop,
  type Ways,
  type Workshop,
} from '../support/steps.ts';

const people = process.env['TEST_LONG'] === undefined ? 300 : 10_000;

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
const up = async (to?: string, shop = workshop) => migrateUp(await options(shop), to);
const down = async (target: number | string, more: Pick<DownOptions, 'destroy'> = {}, shop = workshop) =>
  migrateDown({ ...(await options(shop)), ...more }, target);
const refusal = (text: RegExp | string) => ({
  code: 'migration_refused',
  message: expect.stringMatching(text) as string,
});
const revision = async () =>
  (await sql`select value::int, catalogue_value::int from rolecall.revision`)[0]?.['value'] as number;
const expectWhole = async () =>
  expect(await verifyDatabase(await options())).toMatchObject({ drift: [], breaches: [], unrecorded: [] });

/** Rows in every table that there is, as many people as asked. */
async function populate(): Promise<void> {
  await sql.unsafe(`
    insert into rolecall.users (id, email, active) select 'user ' || n, n || '@x.y', n % 7 <> 0 from generate_series(1, ${people}) n;
    delete from rolecall.users where id = 'user ${people}';
    insert into rolecall.user_roles (user_pk, role_pk, scope, expires_at, reason)
      select u.pk, r.pk, 'shop/' || u.pk, case when u.pk % 3 = 0 then now() + interval '1 day' end, 'why' from rolecall.users u, rolecall.roles r
      where (u.pk + r.pk) % 2 = 0;
    insert into rolecall.user_permissions (user_pk, permission_pk, effect)
      select u.pk, p.pk, case when u.pk % 2 = 0 then 'deny' else 'allow' end from rolecall.users u, rolecall.permissions p where p.pk % 20 = u.pk % 20;
    insert into rolecall.identities (user_pk, issuer, subject) select pk, 'https://x', id from rolecall.users;
    insert into rolecall.api_keys (id, user_pk, name, secret_hash, permissions)
      select left(md5(id), 12), pk, 'k', sha256(id::bytea), array['a', 'b'] from rolecall.users`);
}

async function populateTeams(): Promise<void> {
  await sql.unsafe(`
    update rolecall.users set nickname = 'nick ' || pk where pk % 2 = 0;
    insert into rolecall.teams (name, size) select 'team ' || n, n from generate_series(1, 20) n;
    delete from rolecall.teams where name in ('team 20', 'it''s us');
    insert into rolecall.team_members (team_pk, user_pk) select t.pk, u.pk from rolecall.teams t, rolecall.users u where (t.pk + u.pk) % 5 = 0`);
}

describe('down and up again', () => {
  test('are the identity on catalog and rows, for each step and for all of them (4.6, D-01)', async () => {
    await up();
    await populate();
    await populateTeams();
    const names = (await workshop.steps()).map(({ name }) => name);
    const before = { catalog: await liveCatalog(sql), rows: await liveRows(sql) };
    for (let count = 1; count <= names.length; count += 1) {
      expect(await down(count)).toEqual(names.slice(-count).reverse());
      expect(await up()).toEqual(names.slice(-count));
      expect({ catalog: await liveCatalog(sql), rows: await liveRows(sql) }).toEqual(before);
      await expectWhole();
    }
    expect(await sql`select to_regnamespace('rolecall_archive') as archive`).toEqual([{ archive: null }]);
  });

  test('one by one leave at each step the catalog that its description promises (1.6, D-01)', async () => {
    const steps = await workshop.steps();
    await up();
    await populateTeams();
    for (const step of steps.toReversed().slice(0, -1)) {
      const before = steps[steps.indexOf(step) - 1];
      expect(await down(before?.name ?? '')).toEqual([step.name]);
      expect(await liveCatalog(sql)).toEqual(before?.catalog);
    }
  });

  test('bring back what was there, except what was closed meanwhile (4.6)', async () => {
    await up();
    await populate();
    await populateTeams();
    await down(later(0));
    const [gone] = await sql<{ pk: number }[]>`
      select u.pk::int from rolecall.users u join rolecall_archive.${sql(`${later(2)}_team_members`)} m on m.user_pk = u.pk
      where u.pk % 2 = 0 limit 1`;
    for (const table of ['user_roles', 'user_permissions', 'identities', 'api_keys'])
      await sql`delete from ${sql(`rolecall.${table}`)} where user_pk = ${gone?.pk ?? 0}`;
    await sql`delete from rolecall.users where pk = ${gone?.pk ?? 0}`;
    await sql`insert into rolecall.users (id) values ('new')`;
    const kept =
      await sql`select * from rolecall_archive.${sql(`${later(2)}_team_members`)} where user_pk <> ${gone?.pk ?? 0}`;
    told.length = 0;
    await up();
    expect(await sql`select * from rolecall.team_members order by 1, 2`).toEqual(
      [...kept].sort((a, b) => a['team_pk'] - b['team_pk'] || a['user_pk'] - b['user_pk']),
    );
    expect(await sql`select nickname from rolecall.users where id = 'new'`).toEqual([{ nickname: null }]);
    expect(told).toContainEqual(
      expect.stringMatching(/^brought back \d+ rows of team_members; \d+ were closed meanwhile/),
    );
    expect(told).toContainEqual(
      expect.stringMatching(/^brought back \d+ rows of users; 1 were closed meanwhile/),
    );
    await expectWhole();
  });

  test('never give a key out a second time', async () => {
    await up();
    await sql`insert into rolecall.teams (name) values ('one'), ('two')`;
    const [newest] = await sql<
      { pk: number }[]
    >`delete from rolecall.teams where name = 'two' returning pk::int`;
    await down(later(1));
    await up();
    const [next] = await sql<
      { pk: number }[]
    >`insert into rolecall.teams (name) values ('three') returning pk::int`;
    expect(next?.pk).toBe((newest?.pk ?? 0) + 1);
  });

  test('raise the revision with a sealed row of the journal that moves the catalogue, each step once', async () => {
    const before = await revision();
    await up();
    await down(later(2));
    expect(await revision()).toBe(before + 4 + 2);
    expect(await sql`select value = catalogue_value as moved from rolecall.revision`).toEqual([
      { moved: true },
    ]);
    const history = await migrationHistory(await options());
    expect(history.map(({ step, what }) => `${what} ${step.slice(0, 4)}`)).toEqual([
      ...(await workshop.steps()).map(({ name }) => `up ${name.slice(0, 4)}`),
      `down ${later(4)}`,
      `down ${later(3)}`,
    ]);
    expect(await verifyDatabase(await options())).toMatchObject({
      breaches: [],
      pending: [later(3, 'index_users_by_nickname'), later(4, 'protect_teams')],
    });
  });

  test('of a database that was restored begin a new epoch first: their revision was another one in what is lost (D-02)', async () => {
    const before = await revision();
    const state = async () => (await sql`select value::int, epoch from rolecall.revision`)[0];
    const old = (await state())?.['epoch'] as string;
    await sql`update rolecall.epochs set incarnation = 'another server' where id = ${old}`;
    await up(later(1));
    const begun = (await state())?.['epoch'] as string;
    expect(await state()).toEqual({ value: before + 2, epoch: begun });
    expect(begun).not.toBe(old);
    const made = await sql`select kind, before ->> 'epoch' as old, after ->> 'epoch' as begun,
      (select began_at_revision::int from rolecall.epochs where id = after ->> 'epoch') as at
      from rolecall.journal where revision > ${before} order by revision`;
    expect([...made]).toEqual([
      { kind: 'epoch_began', old, begun, at: before },
      { kind: 'schema_changed', old: null, begun: null, at: null },
    ]);
    await up(later(2));
    expect(await state()).toEqual({ value: before + 3, epoch: begun });
    expect(await verifyDatabase(await options())).toMatchObject({ drift: [], breaches: [] });
  });

  test('of a database in use need the key that seals the journal, and the same one', async () => {
    const steps = await workshop.steps();
    for (const journalKey of [undefined, 'another key, another key, another key']) {
      const wrong = { url: database.url, steps, ...(journalKey ? { journalKey } : {}) };
      await expect(migrateUp(wrong)).rejects.toMatchObject(refusal(/ROLECALL_JOURNAL_KEY/));
      await expect(migrateDown(wrong, 1)).rejects.toMatchObject(refusal(/ROLECALL_JOURNAL_KEY/));
    }
    expect(await up(later(1))).toEqual([later(1, 'add_nickname_to_users')]);
  });
});

describe('a way down', () => {
  const only = async (name: string, ways: Ways, work: (shop: Workshop) => Promise<void>) => {
    const shop = await openWorkshop({ [name]: ways });
    try {
      await up(undefined, shop);
      await work(shop);
    } finally {
      await shop.remove();
    }
  };
  const state = async () => ({
    catalog: await liveCatalog(sql),
    rows: await liveRows(sql),
    revision: await revision(),
  });

  const gaining: readonly (readonly [string, string, RegExp, string])[] = [
    [
      'drops the denials',
      'drop table rolecall.user_permissions',
      /ada is no longer denied orders_view_order everywhere/,
      '',
    ],
    [
      'drops the ends of grants',
      'alter table rolecall.user_roles drop column expires_at',
      /ada gains orders_view_order in shop/,
      '',
    ],
    [
      'makes scoped grants hold everywhere',
      'alter table rolecall.user_roles drop column scope',
      /ada gains orders_view_order everywhere/,
      '',
    ],
    [
      'forgets who is inactive',
      'alter table rolecall.users drop column active',
      /bea gains adminpanel_view_dashboard everywhere/,
      '',
    ],
    [
      'forgets what is withheld',
      'alter table rolecall.role_permissions drop column withheld',
      /eve gains customers_view_customer/,
      '',
    ],
    [
      'revives revoked keys',
      'alter table rolecall.api_keys drop column revoked_at',
      /the API key abcdefghijkl of ada lets more in/,
      '',
    ],
    [
      'forgets where a key works',
      'alter table rolecall.api_keys drop column scope',
      /the API key abcdefghijkm of eve lets more in/,
      '',
    ],
    [
      'gives by hand',
      `update rolecall.user_roles set role_pk = r.pk from rolecall.users u, rolecall.roles r where u.pk = user_pk and id = 'ada' and key = 'admin'`,
      /ada gains rolecall_check in shop/,
      '',
    ],
  ];

  test.each(gaining)('that %s is refused and lists who could do more', async (_, statement, who) => {
    await sql.unsafe(`
      insert into rolecall.users (id, active) values ('ada', true), ('bea', false), ('eve', true);
      insert into rolecall.user_roles (user_pk, role_pk, scope, expires_at) select u.pk, r.pk, 'shop', now() + interval '1 hour'
        from rolecall.users u, rolecall.roles r where id = 'ada' and key = 'manager';
      insert into rolecall.user_roles (user_pk, role_pk) select u.pk, r.pk
        from rolecall.users u, rolecall.roles r where id in ('bea', 'eve') and key = 'manager';
      insert into rolecall.user_permissions (user_pk, permission_pk, effect)
        select u.pk, p.pk, 'deny' from rolecall.users u, rolecall.permissions p where id = 'ada' and slug = 'orders_view_order';
      insert into rolecall.role_permissions (role_pk, permission_pk, origin, withheld)
        select r.pk, p.pk, 'api', true from rolecall.roles r, rolecall.permissions p where slug = 'customers_view_customer';
      insert into rolecall.api_keys (id, user_pk, name, secret_hash, revoked_at)
        select 'abcdefghijkl', pk, 'x', sha256('x'), now() from rolecall.users where id = 'ada';
      insert into rolecall.api_keys (id, user_pk, name, secret_hash, scope)
        select 'abcdefghijkm', pk, 'x', sha256('x'), 'shop' from rolecall.users where id = 'eve'`);
    if (!statement.includes('user_permissions')) await sql`delete from rolecall.user_permissions`;
    await only(
      later(1, 'add_nothing'),
      ['create table rolecall.nothing ()', `drop table rolecall.nothing; ${statement}`],
      async (shop) => {
        const before = await state();
        const destroy = { backupRef: 'even with a backup' };
        await expect(down(1, { destroy }, shop)).rejects.toMatchObject(refusal(who));
        await expect(down(1, {}, shop)).rejects.toMatchObject(refusal(/Take that from them first/));
        expect(await state()).toEqual(before);
      },
    );
  });

  const lossy: readonly (readonly [string, Ways, RegExp])[] = [
    [
      'changes a type',
      [
        'alter table rolecall.users alter email type text collate "C"',
        'alter table rolecall.roles alter name type varchar(99)',
      ],
      /column roles\.name would become character varying/,
    ],
    [
      'deletes rows that stay',
      ['create table rolecall.nothing ()', 'drop table rolecall.nothing; delete from rolecall.idempotency'],
      /rows of idempotency would change or go/,
    ],
    [
      'updates rows that stay',
      [
        'create table rolecall.nothing ()',
        `drop table rolecall.nothing; update rolecall.roles set name = 'x'`,
      ],
      /rows of roles would change or go/,
    ],
    [
      'drops columns of a table without a key',
      [
        'alter table rolecall.idempotency drop constraint idempotency_pkey',
        'alter table rolecall.idempotency drop column answer',
      ],
      /columns of idempotency/,
    ],
    [
      'drops a sequence of its own',
      ['create sequence rolecall.numbers', 'drop sequence rolecall.numbers'],
      /sequence numbers/,
    ],
  ];

  test.each(lossy)(
    'that %s is refused, unless losing it is agreed to with a backup on record',
    async (_, ways, what) => {
      await sql`insert into rolecall.idempotency (credential, key, fingerprint, answer) values ('c', 'k', '', '{}')`;
      await only(later(1, 'lose_something'), ways, async (shop) => {
        const before = await state();
        await expect(down(1, {}, shop)).rejects.toMatchObject(refusal(what));
        expect(await state()).toEqual(before);
        expect(await down(1, { destroy: { backupRef: 'tape 7' } }, shop)).toEqual([
          later(1, 'lose_something'),
        ]);
        const [record] = await sql<
          { after: object }[]
        >`select after from rolecall.journal order by revision desc limit 1`;
        expect(record?.after).toMatchObject({ direction: 'down', backupRef: 'tape 7', kept: [] });
        expect(await sql`select to_regnamespace('rolecall_archive') as archive`).toEqual([{ archive: null }]);
      });
    },
  );

  test('whose step no longer makes what was kept does not come back in silence', async () => {
    await only(
      later(1, 'add_motto'),
      ['alter table rolecall.users add motto text', 'alter table rolecall.users drop motto'],
      async (shop) => {
        await sql`insert into rolecall.users (id, motto) values ('ada', 'onwards')`;
        await down(1, {}, shop);
        await shop.add({
          [later(1, 'add_motto')]: [
            'alter table rolecall.users add slogan text',
            'alter table rolecall.users drop slogan',
          ],
        });
        await expect(up(undefined, shop)).rejects.toMatchObject(
          refusal(`keeps users.motto, which ${later(1, 'add_motto')}.sql does not make`),
        );
        expect(
          await sql`select motto from rolecall_archive.${sql(`${later(1)}_users`)} where motto is not null`,
        ).toEqual([{ motto: 'onwards' }]);
      },
    );
  });
});
