import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { migrationStatus } from '../../src/storage/migrations/status.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import { later, liveCatalog, liveRows, openWorkshop } from '../support/steps.ts';

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

/** Each failure of the sources' lists: what is there already, the statement that then fails, and what people are told. */
const failures: readonly (readonly [
  name: string,
  before: string,
  statement: string,
  cause: RegExp,
  next: RegExp,
])[] = [
  [
    'relation exists',
    'create table rolecall.teams ()',
    'CREATE TABLE rolecall.teams (pk integer)',
    /relation "teams" already exists \(SQLSTATE 42P07\)\nCause: something of that name is there that no recorded step made/,
    /`rolecall migrate verify` names what differs.*`rolecall migrate repair` proves it/,
  ],
  [
    'type exists',
    `create type rolecall.kind as enum ('a')`,
    `CREATE TYPE rolecall.kind AS ENUM ('a', 'b')`,
    /type "kind" already exists \(SQLSTATE 42710\)\nCause: something of that name/,
    /move what stands in the way aside, under another name/,
  ],
  [
    'column exists',
    'alter table rolecall.users add nickname int',
    'ALTER TABLE rolecall.users ADD COLUMN nickname text',
    /column "nickname" of relation "users" already exists \(SQLSTATE 42701\)\nCause: something of that name/,
    /rolecall migrate repair/,
  ],
  [
    'foreign key violation',
    'create table rolecall.orphans as select 999999::bigint as user_pk',
    'ALTER TABLE rolecall.orphans ADD CONSTRAINT orphans_fkey FOREIGN KEY (user_pk) REFERENCES rolecall.users (pk)',
    /violates foreign key constraint "orphans_fkey" \(SQLSTATE 23503\)\nCause: rows name others that do not exist/,
    /names the rows that lead nowhere.*Nothing needs to be deleted unread/,
  ],
  [
    'undefined table',
    '',
    'ALTER TABLE rolecall.never_made ADD COLUMN a text',
    /relation "rolecall\.never_made" does not exist \(SQLSTATE 42P01\)\nCause: an earlier step made it, and somebody removed/,
    /`rolecall migrate verify` names what is missing and the step that made it/,
  ],
  [
    'undefined column',
    '',
    'ALTER TABLE rolecall.users DROP COLUMN never_made',
    /SQLSTATE 42703\)\nCause: an earlier step made it/,
    /rolecall migrate verify/,
  ],
  [
    'id collision',
    `insert into rolecall.users (id) values ('a'), ('b'); select setval('rolecall.users_pk_seq', 1)`,
    `INSERT INTO rolecall.users (id) VALUES ('c')`,
    /"users_pkey" \(SQLSTATE 23505\)\nCause: .*the sequence that numbers rows is behind/,
    /names an identity that is behind and the setval/,
  ],
  [
    'a broken rule',
    `insert into rolecall.users (id) values ('a')`,
    `ALTER TABLE rolecall.users ADD CONSTRAINT users_loud CHECK (id = upper(id))`,
    /SQLSTATE 23514\)\nCause: rows are there that a new rule does not allow/,
    /correct the rows on purpose/,
  ],
  [
    'a missing value',
    `insert into rolecall.users (id) values ('a')`,
    'ALTER TABLE rolecall.users ALTER COLUMN email SET NOT NULL',
    /SQLSTATE 23502\)\nCause: rows lack a value/,
    /fill it in/,
  ],
];

describe('a step that fails with', () => {
  test.each(failures)(
    '%s says where and why, what is safe next, and changes nothing (4.7)',
    async (_, before, statement, cause, next) => {
      if (before) await sql.unsafe(before);
      const shop = await openWorkshop({
        [later(1, 'make_trouble')]: [
          `-- Two lines before,\n-- and one statement.\nCREATE TABLE rolecall.fine ();\n\n${statement};\n`,
          'DROP TABLE rolecall.fine',
        ],
      });
      const options = { url: database.url, steps: await shop.steps(), journalKey: testJournalKey };
      const state = async () => [
        await liveCatalog(sql),
        (await liveRows(sql))['rolecall.users'],
        [...(await sql`select * from rolecall.revision`)],
      ];
      const unchanged = await state();
      const error = await migrateUp(options).catch((failure: Error & { code: string }) => failure);
      expect(error).toMatchObject({ code: 'migration_refused' });
      const { message } = error as Error;
      expect(message).toMatch(
        new RegExp(
          `^${later(1, 'make_trouble')}\\.sql failed at statement 2 \\(line 5\\) and nothing of it was kept: `,
        ),
      );
      expect(message).toMatch(cause);
      expect(message.split('\n').at(-1)).toMatch(/^Next: /);
      expect(message.split('\n').at(-1)).toMatch(next);
      expect(message).not.toMatch(/cascade|comment .* out|delete from/i);
      expect(await state()).toEqual(unchanged);
      await shop.remove();
    },
  );

  test('rights that it lacks names the user to migrate as', async () => {
    const role = new URL(database.url).pathname.slice(1).replace('test', 'guest');
    await sql.unsafe(`create role ${role} login password 'guest'; grant usage on schema rolecall to ${role};
      grant select on all tables in schema rolecall to ${role};
      grant execute on all functions in schema rolecall to ${role}`);
    const shop = await openWorkshop({
      [later(1, 'add_things')]: ['CREATE TABLE rolecall.things ()', 'DROP TABLE rolecall.things'],
    });
    const url = Object.assign(new URL(database.url), { username: role, password: 'guest' }).href;
    const up = async () => migrateUp({ url, steps: await shop.steps(), journalKey: testJournalKey });
    const refusal = (place: string) => ({
      code: 'migration_refused',
      message: expect.stringMatching(
        `${place}\nCause: the database user of DATABASE_URL may not do this`,
      ) as string,
    });
    // Else the ledger would look empty to it, and every step would run again.
    await expect(up()).rejects.toMatchObject(refusal('policies of table rolecall.migrations hide its rows'));
    await sql.unsafe(`alter role ${role} bypassrls`);
    await expect(up()).rejects.toMatchObject(refusal('revision'));
    await sql.unsafe(`grant update on rolecall.revision to ${role}`);
    await expect(up()).rejects.toMatchObject(refusal(`add_things.*\\(SQLSTATE 42501\\)`));
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
    await shop.remove();
  });

  test("somebody else's view on what goes down names the view and leaves it", async () => {
    const shop = await openWorkshop({
      [later(1, 'add_things')]: ['CREATE TABLE rolecall.things (a int)', 'DROP TABLE rolecall.things'],
    });
    const options = { url: database.url, steps: await shop.steps(), journalKey: testJournalKey };
    await migrateUp(options);
    await sql`create view public.theirs as select a from rolecall.things`;
    await expect(migrateDown(options, 1)).rejects.toMatchObject({
      message: expect.stringMatching(
        /statement 1 \(line 1\).*\nview (public\.)?theirs depends on table (rolecall\.)?things\nCause: something that Rolecall did not make/s,
      ) as string,
    });
    expect(await sql`select * from public.theirs`).toEqual([]);
    await shop.remove();
  });
});

describe('a database that cannot be reached', () => {
  const at = (change: Partial<URL>) => Object.assign(new URL(database.url), change).href;
  const cases: readonly (readonly [string, () => string, RegExp])[] = [
    [
      'because nobody listens',
      () => at({ port: '1' }),
      /^the database at [^ ]+ does not answer \(E[A-Z_]+\): .*DATABASE_URL/,
    ],
    [
      'because the host is unknown',
      () => at({ hostname: 'nowhere.invalid' }),
      /^the database at [^ ]+ does not answer \(E[A-Z_]+\): .*DATABASE_URL/,
    ],
    [
      'because it does not exist',
      () => at({ pathname: '/nowhere' }),
      /the database that DATABASE_URL names does not exist/,
    ],
    [
      'because the user is unknown',
      () => at({ username: 'nobody_at_all' }),
      /refuses the user or password of DATABASE_URL/,
    ],
  ];
  test.each(cases)('%s is told apart from all that a step can do wrong (4.7)', async (_, url, sentence) => {
    const shop = await openWorkshop();
    await expect(migrationStatus({ url: url(), steps: await shop.steps() })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(sentence) as string,
    });
    await shop.remove();
  });
});
