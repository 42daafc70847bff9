import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';

let database: TestDatabase;
let program: Program | undefined;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  program?.child.kill('SIGKILL');
  await database.drop();
});

async function adminKey(): Promise<string> {
  const made = await run(
    ['keys', 'create', '--user', 'ops', '--role', 'admin', '--json'],
    environmentFor(database.url),
  );
  return JSON.parse(made.stdout).key;
}

async function serve(workers: number): Promise<{ url: string; program: Program }> {
  program = start(['serve'], environmentFor(database.url, { ROLECALL_WORKERS: String(workers) }));
  // One that is told to stop before it listens could not start.
  const [, url] = await program.prints(new RegExp(`(?:[^]*?"msg":"listening on ([^"]+)"){${workers}}`));
  return { url: url as string, program };
}

test('several workers are right together, count together, are replaced when they die, and stop together', async () => {
  const key = await adminKey();
  const { url, program } = await serve(2);
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = {
      authorization: `Bearer ${key}`,
      connection: 'close',
      'content-type': 'application/json',
    };
    const response = await fetch(`${url}${path}`, { ...init, headers });
    return { status: response.status, text: await response.text() };
  };
  await ask('/users', { method: 'POST', body: '{"id":"nora"}' });
  const question = { method: 'POST', body: '{"user":"nora","permission":"orders.load_order"}' };
  // Each connection goes to the next worker: whatever one was told, the other must know.
  for (let turn = 0; turn < 20; turn += 1) {
    const granted = turn % 2 === 0;
    await ask('/users/nora/roles/loader', { method: granted ? 'PUT' : 'DELETE' });
    const answers = await Promise.all([ask('/authorize', question), ask('/authorize', question)]);
    for (const { text } of answers) expect(JSON.parse(text).allowed).toBe(granted);
  }
  const { text } = await ask('/metrics');
  const decided = [...text.matchAll(/^rolecall_decisions_total\{.*\} (\d+)/gm)];
  expect(decided.reduce((sum, [, value]) => sum + Number(value), 0)).toBe(40);

  const children = await childrenOf(program.child.pid as number);
  expect(children).toHaveLength(2);
  process.kill(children[0] as number, 'SIGKILL');
  await vi.waitFor(
    async () => {
      const now = await childrenOf(program.child.pid as number);
      expect(now).toHaveLength(2);
      expect(now).not.toContain(children[0]);
    },
    { timeout: 30_000, interval: 200 },
  );
  expect((await ask('/livez')).status).toBe(200);

  program.child.kill('SIGTERM');
  expect((await program.ended()).code).toBe(0);
  for (const child of children) expect(() => process.kill(child, 0)).toThrow();
});

test('metrics of several workers are those of the one that is behind, and 503 while one says nothing', async () => {
  const key = await adminKey();
  const { url, program } = await serve(2);
  const scrape = () =>
    fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}`, connection: 'close' } });
  // Scraping asks too: each worker has come to the newest revision once it was scraped, and none beyond it.
  const revision = async () => /^rolecall_revision (\d+)$/m.exec(await (await scrape()).text())?.[1];
  await expect.poll(revision, { timeout: 20_000 }).toBe(await newestRevision());
  const [silent] = await childrenOf(program.child.pid as number);
  process.kill(silent as number, 'SIGSTOP');
  // Whoever is asked: of several at once, those that go to the silent one are not answered at all.
  const statuses = await Promise.race([
    scrape().then(({ status }) => status),
    scrape().then(({ status }) => status),
    scrape().then(({ status }) => status),
  ]);
  expect(statuses).toBe(503);
  process.kill(silent as number, 'SIGCONT');
});

test('workers that are told to stop themselves, and then by the command, stop as gently as by one of both', async () => {
  const { url, program } = await serve(2);
  const alive = async () => (await fetch(`${url}/livez`, { headers: { connection: 'close' } })).status;
  expect(await alive()).toBe(200);
  // As a signal to the whole process group does.
  for (const child of await childrenOf(program.child.pid as number)) process.kill(child, 'SIGTERM');
  await pause(50);
  program.child.kill('SIGTERM');
  await pause(50);
  expect(await alive()).toBe(200);
  expect((await program.ended()).code).toBe(0);
});

test('workers that cannot start end the command with their exit code', async () => {
  const broken = { ...environmentFor(database.url), ROLECALL_WORKERS: '2', HOST: '203.0.113.1' };
  const ended = await run(['serve'], broken);
  expect(ended.code).toBe(1);
});

test('so do those that cannot have the port of administration, though they have the other', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const variables = { ROLECALL_WORKERS: '2', ROLECALL_ADMIN_PORT: String(port) };
  const ended = await run(['serve'], environmentFor(database.url, variables));
  taken.close();
  expect(ended.code).toBe(1);
});

async function newestRevision(): Promise<string> {
  const sql = postgres(database.url, { max: 1 });
  const [row] = await sql<[{ value: string }]>`select value from rolecall.revision`;
  await sql.end();
  return row.value;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}
