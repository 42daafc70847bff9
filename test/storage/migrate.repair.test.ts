import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { repairLedger } from '../../src/storage/migrations/repair.ts';
import { migrationStatus } from '../../src/storage/migrations/status.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import { furtherSteps, later, openWorkshop, type Workshop } from '../support/steps.ts';

const { [later(2, 'create_teams')]: _, [later(4, 'protect_teams')]: __, ...provable } = furtherSteps;

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop({
    ...provable,
    [later(2, 'create_teams')]: [
      'CREATE TABLE rolecall.teams (name text PRIMARY KEY)',
      'DROP TABLE rolecall.teams',
    ],
    [later(4, 'fill_teams')]: [
      `INSERT INTO rolecall.teams VALUES ('one')`,
      `DELETE FROM rolecall.teams WHERE name = 'one'`,
    ],
  });
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

const options = async () => ({
  url: database.url,
  steps: await workshop.steps(),
  journalKey: testJournalKey,
});
const repair = async () => repairLedger(await options());
const applied = async () =>
  (await migrationStatus(await options())).applied.map(({ name }) => name.slice(0, 4));
const position = (nth: number) => Number(later(nth));
/** The numbers of all steps up to the `nth` of ours after the release's. */
const upTo = async (nth: number) =>
  (await workshop.steps()).map(({ name }) => name.slice(0, 4)).filter((number) => number <= later(nth));
const ledger = async () => [...(await sql`select * from rolecall.migrations order by position`)];
const expectRefused = async (why: RegExp) => {
  const before = [await ledger(), [...(await sql`select * from rolecall.revision`)]];
  await expect(repair()).rejects.toMatchObject({
    code: 'migration_refused',
    message: expect.stringMatching(why) as string,
  });
  expect([await ledger(), [...(await sql`select * from rolecall.revision`)]]).toEqual(before);
};

describe('the ledger', () => {
  test('that is right is left alone', async () => {
    await migrateUp(await options(), later(3));
    const before = await ledger();
    expect(await repair()).toEqual([]);
    expect(await ledger()).toEqual(before);
  });

  test('that lost its rows gets those back that the catalog proves (0.7)', async () => {
    await migrateUp(await options(), later(3));
    const before = await ledger();
    await sql`delete from rolecall.migrations`;
    expect(await repair()).toEqual(
      before.map(({ name }) => `${name} is there and was missing from the ledger: recorded`),
    );
    expect((await ledger()).map(({ name, hash, down_hash }) => [name, hash, down_hash])).toEqual(
      before.map(({ name, hash, down_hash }) => [name, hash, down_hash]),
    );
    expect(isWhole(await verifyDatabase(await options()))).toBe(true);
    const [record] =
      await sql`select kind, after ->> 'direction' as what from rolecall.journal order by revision desc limit 1`;
    expect(record).toEqual({ kind: 'schema_changed', what: 'repair' });
  });

  test('learns of a step that was run by hand', async () => {
    for (const name of [later(1, 'add_nickname_to_users'), later(2, 'create_teams')])
      await sql.unsafe((await workshop.steps()).find((step) => step.name === name)?.up ?? '');
    expect(await repair()).toHaveLength(2);
    expect(await applied()).toEqual(await upTo(2));
  });

  test('forgets a step that was undone by hand', async () => {
    await migrateUp(await options(), later(3));
    await sql`drop index rolecall.users_nickname_index`;
    expect(await repair()).toEqual([
      `${later(3, 'index_users_by_nickname')} is not there and was in the ledger: taken out`,
    ]);
    expect(await applied()).toEqual(await upTo(2));
    expect(await migrateUp(await options(), later(3))).toEqual([later(3, 'index_users_by_nickname')]);
  });

  test('is put right when a file was edited and still makes the same', async () => {
    await migrateUp(await options(), later(3));
    await sql`update rolecall.migrations set hash = repeat('0', 64) where position = ${position(2)}`;
    await expect(applied()).rejects.toMatchObject({
      message: expect.stringContaining('was edited') as string,
    });
    expect(await repair()).toEqual([
      expect.stringMatching(new RegExp(`^${later(2, 'create_teams')} was recorded with other files`)),
    ]);
    expect(await applied()).toEqual(await upTo(3));
  });

  test('is never told that a step is there when the catalog differs in one thing (0.7)', async () => {
    await migrateUp(await options(), later(3));
    await sql`delete from rolecall.migrations where position >= ${position(1)}`;
    await sql`alter table rolecall.users alter nickname set default 'x'`;
    await expectRefused(/not proven: the catalog is as after no step/);
  });

  test('is never told that a step has worked on rows, which leaves no trace (0.7)', async () => {
    await migrateUp(await options());
    await sql`delete from rolecall.migrations where position >= ${position(1)}`;
    await migrateUp(await options(), later(0));
    expect(await repair()).toHaveLength(3);
    expect(await applied()).toEqual(await upTo(3));
    await sql`insert into rolecall.migrations (position, name, hash, down_hash)
      values (${position(4)}, ${later(4, 'fill_teams')}, repeat('0', 64), repeat('0', 64))`;
    await expectRefused(new RegExp(`leaves no trace in the catalog\n${later(4, 'fill_teams')}`));
  });

  test('is not written while rows say what they must not', async () => {
    await migrateUp(await options(), later(3));
    await sql`delete from rolecall.migrations where position = ${position(3)}`;
    await sql`update rolecall.permissions set retired_at = now() where slug = 'orders_view_order'`;
    await expectRefused(/the rows are not as they must be\nthe permission orders_view_order/);
  });
});
