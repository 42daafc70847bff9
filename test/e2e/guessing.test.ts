import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

const seconds = long ? 30 : 3;
const connections = 50;

let database: TestDatabase;
let program: Program;
let port: number;
let adminKey: string;

beforeAll(async () => {
  database = await createWatchedDatabase();
  // Generous, since the machine may be busy.
  const environment = environmentFor(database.url, { ROLECALL_REQUEST_TIMEOUT_MS: '20000' });
  const made = await run(['keys', 'create', '--user', 'root', '--role', 'admin', '--json'], environment);
  adminKey = JSON.parse(made.stdout).key;
  program = start(['serve'], environment);
  const [, url] = await program.prints(/"msg":"listening on ([^"]+)"/);
  port = Number(new URL(url as string).port);
});
afterAll(async () => {
  program.child.kill('SIGKILL');
  await database.drop();
});

/**
 * Sends keys that are well-formed and nobody's for some seconds, so many at once on each connection, the next as soon as
 * they are answered; counts the answers by their status, and the connections that ended.
 */
const guesser = `
  const { workerData: { port, connections, seconds, module, atOnce, keeps }, parentPort } = require('node:worker_threads');
  const { connect } = require('node:net');
  import(module).then(async ({ formatApiKey }) => {
    const seen = { sent: 0, ended: 0, statuses: {} };
    const guess = () => {
      const key = formatApiKey({ id: String(seen.sent++).padStart(12, 'g'), secret: 'w'.repeat(43) });
      const close = keeps ? '' : 'connection: close\\r\\n';
      return 'GET /me/permissions HTTP/1.1\\r\\nhost: x\\r\\n' + close + 'authorization: Bearer ' + key + '\\r\\n\\r\\n';
    };
    const until = performance.now() + seconds * 1000;
    const converse = () => new Promise((resolve) => {
      let open = atOnce;
      const socket = connect({ port, noDelay: true }).setEncoding('latin1');
      const send = () => socket.write(Array.from({ length: atOnce }, guess).join(''));
      socket.on('connect', send).on('error', () => {}).on('close', () => { seen.ended += 1; resolve(); });
      socket.on('data', (text) => {
        for (const [, status] of text.matchAll(/HTTP\\/1\\.1 (\\d+)/g)) {
          seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
          open -= 1;
        }
        if (open > 0 || !keeps) return;
        open = atOnce;
        if (performance.now() < until) send(); else socket.destroy();
      });
    });
    const guessing = async () => { while (performance.now() < until) await converse(); };
    await Promise.all(Array.from({ length: connections }, guessing));
    parentPort.postMessage(seen);
  });`;

interface Guessed {
  readonly sent: number;
  readonly ended: number;
  readonly statuses: Readonly<Record<string, number>>;
}

interface Manner {
  /** Guesses on one connection that do not wait for each other. */
  readonly atOnce: number;
  /** Whether a connection is used for more than one guess. */
  readonly keeps: boolean;
}

function guess(manner: Manner): Promise<Guessed> {
  const module = new URL('../../dist/domain/api-keys.js', import.meta.url).href;
  const workerData = { port, connections, seconds, module, ...manner };
  const worker = new Worker(guesser, { eval: true, workerData });
  return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
}

const agent = new Agent({ keepAlive: true });

/** How long one answer to a good key took, in milliseconds. */
function ask(): Promise<number> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminKey}` };
    request({ port, agent, path: '/me/permissions', headers }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`a good key was answered ${answer.statusCode}`));
      answer.resume().on('end', () => resolve(performance.now() - begun));
    })
      .on('error', reject)
      .end();
  });
}

/** One question after the other, for as long as is guessed. */
async function askMany(): Promise<readonly number[]> {
  const waited: number[] = [];
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) waited.push(await ask());
  return waited;
}

async function megabytes(): Promise<number> {
  const status = await readFile(`/proc/${program.child.pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024);
}

test.each([
  ['one after the other', { atOnce: 1, keeps: true }],
  ['each over a connection of its own', { atOnce: 1, keeps: false }],
  ['a hundred at once, without waiting', { atOnce: 100, keeps: true }],
])(
  'while somebody guesses keys as fast as they can, %s, whoever has one from the same address is answered (A-24)',
  { timeout: 600_000 },
  async (how, manner) => {
    const before = await askMany();
    const memory = await megabytes();
    const [during, { sent, ended, statuses }] = await Promise.all([askMany(), guess(manner)]);
    await ask();
    const told = Object.values(statuses).reduce((sum, count) => sum + count, 0);
    summarize(`guessed keys, from a thread of their own, ${how} (A-24)`, {
      ...statuses,
      'sent in a second': Math.round(sent / seconds),
      'told in a second': Math.round(told / seconds),
      'connections ended': ended,
      'good, alone': JSON.stringify(spread(before)),
      'good, beside them': JSON.stringify(spread(during)),
      'questions before': before.length,
      'and beside them': during.length,
      'megabytes before': memory,
      after: await megabytes(),
    });
    expect(Object.keys(statuses).every((status) => status === '401' || status === '429')).toBe(true);
    // 200 in a second at once, besides those of the second before; and every connection waits half a second or is ended.
    expect(told).toBeLessThan((200 + 2 * connections) * (seconds + 1) + 200);
    expect(sent).toBeGreaterThan(200);
  },
);
