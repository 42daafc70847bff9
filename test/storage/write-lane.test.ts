import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { deadlineIn } from '../../src/storage/deadline.ts';
import type { LaneTransaction } from '../../src/storage/lane-connection.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: Database;
let admin: postgres.Sql;

beforeEach(async () => {
  database = await createTestDatabase();
  admin = postgres(database.url, { max: 2, onnotice: () => {} });
  await admin`create table kept (number int primary key)`;
  pool = openDatabase({
    url: database.url,
    poolSize: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
  });
});
afterEach(async () => {
  await pool.close();
  await admin.end();
  await database.drop();
});

const transact = <T>(work: (transaction: LaneTransaction) => Promise<T>) =>
  pool.transact(deadlineIn(20_000), work);

/** Sends the row along with COMMIT. */
const keep = (number: number) =>
  transact(async ({ sql, sendAlong }) => {
    sendAlong(sql`insert into kept values (${number}) returning *`);
    return number;
  });

async function kept(): Promise<number[]> {
  return (await admin<{ number: number }[]>`select number from kept order by number`).map(
    (row) => row.number,
  );
}

test('transactions that come together are all kept, each by itself', async () => {
  const numbers = Array.from({ length: 50 }, (_, number) => number);
  expect(await Promise.all(numbers.map(keep))).toEqual(numbers);
  expect(await kept()).toEqual(numbers);
});

test('what is sent along with COMMIT undoes its own transaction when it fails, and no other', async () => {
  await keep(1);
  const outcomes = await Promise.allSettled([keep(2), keep(1), keep(3)]);
  expect(outcomes[1]).toMatchObject({ status: 'rejected', reason: { cause: { code: '23505' } } });
  const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  expect(await kept()).toEqual([1, ...done]);
});

test('a failure that nobody heeded is no commit', async () => {
  const heedless = transact(async ({ sql }) => {
    await sql`insert into kept values (1)`;
    await sql`select 1 / 0`.catch(() => {});
    return 'done';
  });
  await expect(heedless).rejects.toMatchObject({ cause: { code: '25P02' } });
  expect(await kept()).toEqual([]);
});

test('a transaction that is to be undone answers and leaves nothing', async () => {
  const answer = transact(async ({ sql, sendAlong, undo }) => {
    sendAlong(sql`insert into kept values (1)`);
    undo();
    return 'tried';
  });
  expect(await answer).toBe('tried');
  expect(await kept()).toEqual([]);
});

test('a statement that the driver repeats because its plan is gone is never done in the transaction behind', async () => {
  await keep(1);
  for (let round = 2; round < 20; round += 2) {
    await admin`alter table kept add column ${admin(`more${round}`)} int`;
    const outcomes = await Promise.allSettled([keep(round), keep(round + 1)]);
    const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const there = (await kept()).filter((number) => number >= round);
    expect(there, JSON.stringify(outcomes)).toEqual(done);
  }
});

test('who waits behind a connection that is lost hears of it at once, and the next has another', async () => {
  let reach: (pid: number) => void = () => {};
  const reached = new Promise<number>((resolve) => {
    reach = resolve;
  });
  const lost = transact(async ({ sql }) => {
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    reach(row?.pid ?? 0);
    await sql`select pg_sleep(20)`;
  });
  const pid = await reached;
  await Promise.all([
    expect(lost).rejects.toMatchObject({ code: 'unavailable' }),
    admin`select pg_terminate_backend(${pid})`,
  ]);
  await keep(7);
  expect(await kept()).toEqual([7]);
});
