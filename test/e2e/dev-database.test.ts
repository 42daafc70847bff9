import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { run, start } from '../support/program.ts';

let data: string;
let database: TestDatabase | undefined;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'rolecall-dev-'));
});
afterEach(async () => {
  await rm(data, { recursive: true, force: true });
  await database?.drop();
  database = undefined;
});

const environment = { PATH: process.env['PATH'], PORT: '0' };
const dev = (url: string) => ['dev', '--data', data, '--database-url', url];

async function usersIn(url: string): Promise<number> {
  const sql = postgres(url, { max: 1 });
  const [row] = await sql<{ count: number }[]>`select count(*)::int from rolecall.users`;
  await sql.end();
  return row?.count ?? 0;
}

test('dev takes an empty database on this machine, and the same one again', async () => {
  database = await createEmptyDatabase();
  for (let round = 0; round < 2; round += 1) {
    const program = start(dev(database.url), environment);
    await program.prints(/Ready in/);
    program.child.kill('SIGTERM');
    expect(await program.ended()).toMatchObject({ code: 0 });
  }
  expect(await usersIn(database.url)).toBe(6);
});

test('dev refuses a real installation: demo people and a key never land there', async () => {
  database = await createTestDatabase();
  expect(await run(dev(database.url), environment)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('neither empty nor one that dev used before'),
  });
  expect(await usersIn(database.url)).toBe(0);
});

test("dev refuses a database that holds another application's tables", async () => {
  database = await createEmptyDatabase();
  const sql = postgres(database.url, { max: 1 });
  await sql`create table public.invoices (id int)`;
  await sql.end();
  expect(await run(dev(database.url), environment)).toMatchObject({ code: 2 });
});

test.each([
  ['another machine', 'postgres://u:p@db.internal.invalid:5432/x', 'on this machine only'],
  [
    'several machines',
    'postgres://u:p@localhost,db.internal.invalid/x',
    'on this machine only|PostgreSQL only',
  ],
  [
    'a host among the parameters',
    'postgres://u:p@localhost/x?host=db.internal.invalid',
    'on this machine only',
  ],
  ['another kind of database', 'mysql://localhost/x', 'PostgreSQL only'],
])('dev refuses %s (3.9)', async (_what, url, sentence) => {
  const { code, stderr } = await run(dev(url), environment);
  expect(code).toBeOneOf([1, 2]);
  expect(stderr).toMatch(new RegExp(sentence));
});

test.each([{ NODE_ENV: 'production' }, { HOST: '0.0.0.0' }])(
  'dev refuses to run with %o',
  async (variables) => {
    expect(await run(['dev', '--data', data], { ...environment, ...variables })).toMatchObject({ code: 2 });
  },
);
