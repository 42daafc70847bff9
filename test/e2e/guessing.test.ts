import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

const guesses = long ? 100_000 : 2_000;
const questions = long ? 3_000 : 200;

let database: TestDatabase;
let program: Program;
let port: number;
let adminKey: string;

beforeAll(async () => {
  database = await createWatchedDatabase();
  const environment = environmentFor(database.url);
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

/** Sends keys that are well-formed and nobody's, as fast as they are answered, and counts the answers by their status. */
const guesser = `
  const { workerData: { port, guesses, module }, parentPort } = require('node:worker_threads');
  const { Agent, request } = require('node:http');
  import(module).then(async ({ formatApiKey }) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 50 });
    const statuses = {};
    let sent = 0;
    const guess = () => new Promise((resolve) => {
      const key = formatApiKey({ id: String(sent++).padStart(12, 'g'), secret: 'w'.repeat(43) });
      request({ port, agent, path: '/me/permissions', headers: { authorization: 'Bearer ' + key } }, (answer) => {
        statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1;
        answer.resume().on('end', resolve);
      }).end();
    });
    const begun = performance.now();
    await Promise.all(Array.from({ length: 50 }, async () => { while (sent < guesses) await guess(); }));
    parentPort.postMessage({ statuses, seconds: (performance.now() - begun) / 1000 });
    agent.destroy();
  });`;

interface Guessed {
  readonly statuses: Readonly<Record<string, number>>;
  readonly seconds: number;
}

function guess(): Promise<Guessed> {
  const module = new URL('../../dist/domain/api-keys.js', import.meta.url).href;
  const worker = new Worker(guesser, { eval: true, workerData: { port, guesses, module } });
  return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
}

const agent = new Agent({ keepAlive: true });

/** How long one answer to a good key took, in milliseconds. */
function ask(): Promise<number> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminKey}` };
    request({ port, agent, path: '/me/permissions', headers }, (answer) => {
      expect(answer.statusCode).toBe(200);
      answer.resume().on('end', () => resolve(performance.now() - begun));
    })
      .on('error', reject)
      .end();
  });
}

async function askMany(isOver: () => boolean): Promise<readonly number[]> {
  const waited: number[] = [];
  while (!isOver() || waited.length < questions) waited.push(await ask());
  return waited;
}

async function megabytes(): Promise<number> {
  const status = await readFile(`/proc/${program.child.pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024);
}

test('while somebody guesses keys as fast as they can, whoever has one from the same address is answered (A-24)', {
  timeout: 600_000,
}, async () => {
  const before = await askMany(() => true);
  const memory = await megabytes();
  let isOver = false;
  const guessing = guess().finally(() => {
    isOver = true;
  });
  const during = await askMany(() => isOver);
  const { statuses, seconds } = await guessing;
  expect(Object.keys(statuses).toSorted()).toEqual(['401', '429']);
  expect(Object.values(statuses).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(guesses);
  await ask();
  summarize('guessed keys, from a process of their own (A-24)', {
    ...statuses,
    'guesses a second': Math.round(guesses / seconds),
    'good, alone': JSON.stringify(spread(before)),
    'good, beside them': JSON.stringify(spread(during)),
    'megabytes before': memory,
    after: await megabytes(),
  });
});
