import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { listenTo } from '../support/event-stream.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';
import { testJournalKey } from '../support/runtime.ts';

let database: TestDatabase;
let running: Program[] = [];

afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  running = [];
  await database.drop();
});

async function serve(
  variables: Readonly<Record<string, string>> = {},
): Promise<{ url: string; program: Program }> {
  const program = start(['serve'], environmentFor(database.url, variables));
  running.push(program);
  const [, url] = await program.prints(/"msg":"listening on ([^"]+)"/);
  return { url: url as string, program };
}

async function objectsIn(url: string): Promise<string[]> {
  const sql = postgres(url, { max: 1 });
  const rows = await sql<{ name: string }[]>`
    select format('%s.%s', nspname, relname) as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname !~ '^(pg_|information_schema)' order by 1`;
  await sql.end();
  return rows.map((row) => row.name);
}

test('a port that cannot be had ends serve, the one of administration too', async () => {
  database = await createTestDatabase();
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const ended = await run(['serve'], environmentFor(database.url, { ROLECALL_ADMIN_PORT: String(port) }));
  taken.close();
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(String(port)) });
});

describe('on an empty database', () => {
  beforeEach(async () => {
    database = await createEmptyDatabase();
  });

  test('serve creates nothing, is alive, and says what is pending and the command for it (1.1)', async () => {
    const { url } = await serve();
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      ready: false,
      problems: [
        {
          problem: expect.stringMatching(/^pending migrations: 0000_create_rolecall, 0001_/),
          command: 'rolecall migrate up',
        },
      ],
    });
    expect(await objectsIn(database.url)).toEqual([]);
  });

  test('an operator goes from nothing to a first decision by the commands of the README', async () => {
    const environment = environmentFor(database.url);
    expect(await run(['migrate', 'status'], environment)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/pending/),
    });
    expect(await run(['migrate', 'up'], environment)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Applied \d+ steps\.$/m),
    });
    expect((await run(['migrate', 'up'], environment)).stdout).toMatch(/Nothing to do/);
    const unapplied = await serve();
    expect(await (await fetch(`${unapplied.url}/readyz`)).json()).toMatchObject({
      problems: [{ command: 'rolecall matrix apply' }],
    });

    expect(await run(['matrix', 'apply'], environment)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Applied \d+ changes/),
    });
    const again = JSON.parse((await run(['matrix', 'apply', '--json'], environment)).stdout);
    expect(again).toMatchObject({ changed: false, changes: [] });

    const created = await run(['keys', 'create', '--user', 'ops', '--role', 'admin', '--json'], environment);
    const { key } = JSON.parse(created.stdout) as { key: string };
    expect(key).toMatch(/^rc_/);
    const second = await run(['keys', 'create', '--user', 'eve', '--role', 'admin', '--json'], environment);
    expect(second).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/there is an administrator already/),
    });

    const { url } = await serve();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const answer = await fetch(`${url}/authorize`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ permission: 'rolecall.grant_roles' }),
    });
    expect(await answer.json()).toMatchObject({ allowed: true, permission: 'rolecall_grant_roles' });
  });
});

describe('on a migrated database', () => {
  beforeEach(async () => {
    database = await createTestDatabase();
  });

  test('a rollback is not undone by the next start: serve is not ready and changes nothing (1.3)', async () => {
    const environment = environmentFor(database.url);
    expect(await run(['migrate', 'down', '--destroy'], environment)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/--backup-ref/),
    });
    expect(await run(['migrate', 'down'], environment)).toMatchObject({ code: 0 });
    const before = await objectsIn(database.url);
    const { url } = await serve();
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect(await objectsIn(database.url)).toEqual(before);
  });

  test('SIGTERM finishes the requests under way and exits with 0', async () => {
    const { url, program } = await serve({ ROLECALL_REQUEST_TIMEOUT_MS: '20000' });
    const environment = environmentFor(database.url);
    const { stdout } = await run(
      ['keys', 'create', '--user', 'ops', '--role', 'admin', '--json'],
      environment,
    );
    const { key } = JSON.parse(stdout) as { key: string };
    const holder = postgres(database.url, { max: 1 });
    const writing = await holder.begin(async (sql) => {
      await sql`select 1 from rolecall.revision for update`;
      const answer = fetch(`${url}/users`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ id: 'late' }),
      });
      await untilAWriteWaits(database.url);
      program.child.kill('SIGTERM');
      await program.prints(/"event":"stopping"/);
      return { answer };
    });
    expect((await writing.answer).status).toBe(201);
    await holder.end();
    expect(await program.ended()).toMatchObject({ code: 0 });
  });

  test('SIGTERM says goodbye to whoever listens, and does not wait for them to leave (F-23)', async () => {
    const { url, program } = await serve();
    const environment = environmentFor(database.url);
    const { stdout } = await run(
      ['keys', 'create', '--user', 'ops', '--role', 'admin', '--json'],
      environment,
    );
    const listener = await listenTo(url, (JSON.parse(stdout) as { key: string }).key);
    expect(await listener.next()).toMatchObject({ event: 'hello' });
    const begun = performance.now();
    program.child.kill('SIGTERM');
    expect(await listener.next()).toMatchObject({ event: 'bye', data: { reason: 'stopping' } });
    expect(await listener.next()).toBeNull();
    expect(await program.ended()).toMatchObject({ code: 0 });
    expect(performance.now() - begun).toBeLessThan(6_000);
  });

  test('every log line is one JSON object with no secret in it', async () => {
    const { url, program } = await serve();
    await fetch(`${url}/users/x/roles`, { headers: { authorization: 'Bearer rc_canary' } });
    await program.prints(/"event":"request"/);
    program.child.kill('SIGTERM');
    const { stdout } = await program.ended();
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.every((line) => typeof line.msg === 'string')).toBe(true);
    expect(stdout).not.toContain('canary');
    expect(stdout).not.toContain(testJournalKey);
  });
});

test('a broken environment prints every problem at once and exits with 1 (1.2)', async () => {
  database = await createEmptyDatabase();
  const { code, stdout, stderr } = await run(['serve'], {
    PATH: process.env['PATH'],
    PORT: 'x',
    ROLECALL_POOLSIZE: '3',
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  for (const name of ['DATABASE_URL', 'ROLECALL_JOURNAL_KEY', 'PORT', 'ROLECALL_POOLSIZE'])
    expect(stderr).toContain(name);
});

async function untilAWriteWaits(url: string): Promise<void> {
  const sql = postgres(url, { max: 1 });
  for (;;) {
    const [row] = await sql<{ blocked: number }[]>`
      select count(*)::int as blocked from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    if (row && row.blocked > 0) break;
  }
  await sql.end();
}
