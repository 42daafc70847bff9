import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

/** In turns: a machine is not the same from one minute to the next. */
const turns = long ? 3 : 1;
const seconds = long ? 20 : 3;
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

/** Lets guesses wait as the service does, and does nothing else: beside it, others wait only for what guessing itself takes. */
const stoic = `
  const { workerData: { ends }, parentPort } = require('node:worker_threads');
  const answer = 'HTTP/1.1 401 Unauthorized\\r\\ncontent-length: 0\\r\\n\\r\\n';
  const server = require('node:net').createServer((socket) => {
    let telling;
    const tell = () => {
      telling = undefined;
      if (ends) socket.end(answer); else socket.write(answer);
    };
    socket.on('error', () => {}).on('data', () => { telling ??= setTimeout(tell, 500 + Math.random() * 500); });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`;

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

function guess(manner: Manner, at: number): Promise<Guessed> {
  const module = new URL('../../dist/domain/api-keys.js', import.meta.url).href;
  const workerData = { port: at, connections, seconds, module, ...manner };
  return firstWord(new Worker(guesser, { eval: true, workerData }));
}

function firstWord<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
}

/** What others wait while somebody guesses as much elsewhere on this machine. */
async function askBesideStoic(manner: Manner): Promise<readonly number[]> {
  const worker = new Worker(stoic, {
    eval: true,
    workerData: { ends: !manner.keeps || manner.atOnce > 1 },
  });
  const at = await firstWord<number>(worker);
  const [waited] = await Promise.all([askMany(), guess(manner, at)]);
  await worker.terminate();
  return waited;
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
    const alone: number[] = [];
    const elsewhere: number[] = [];
    const beside: number[] = [];
    const statuses: Record<string, number> = {};
    const seen = { sent: 0, told: 0, ended: 0 };
    const memory = await megabytes();
    for (let turn = 1; turn <= turns; turn += 1) {
      alone.push(...(await askMany()));
      elsewhere.push(...(await askBesideStoic(manner)));
      const [waited, guessed] = await Promise.all([askMany(), guess(manner, port)]);
      beside.push(...waited);
      seen.sent += guessed.sent;
      seen.ended += guessed.ended;
      for (const [status, count] of Object.entries(guessed.statuses)) {
        statuses[status] = (statuses[status] ?? 0) + count;
        seen.told += count;
      }
    }
    await ask();
    summarize(`guessed keys, from a thread of their own, ${how} (A-24)`, {
      ...statuses,
      'sent in a second': Math.round(seen.sent / turns / seconds),
      'told in a second': Math.round(seen.told / turns / seconds),
      'connections ended': seen.ended,
      'good, alone': JSON.stringify(spread(alone)),
      'good, while they guess elsewhere': JSON.stringify(spread(elsewhere)),
      'good, beside them': JSON.stringify(spread(beside)),
      questions: [alone, elsewhere, beside].map(({ length }) => length).join(' '),
      'megabytes before': memory,
      after: await megabytes(),
    });
    expect(Object.keys(statuses).every((status) => status === '401' || status === '429')).toBe(true);
    // 200 in a second at once, besides those of the second before; and every connection waits half a second or is ended.
    expect(seen.told).toBeLessThan(((200 + 2 * connections) * (seconds + 1) + 200) * turns);
    expect(seen.sent).toBeGreaterThan(200 * turns);
  },
);
