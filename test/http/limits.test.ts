import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { formatApiKey } from '../../src/domain/api-keys.ts';
import { buildServer } from '../../src/http/server.ts';
import { type LimitOptions, type Limits, openLimits } from '../../src/services/limits.ts';
import { expectContract } from '../support/contract.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

const question = { permission: 'orders.view_order' };
const wrongKeyLimit = 10;

let service: TestService;
let greedy: string;
let modest: string;
beforeAll(async () => {
  service = await startTestService({ variables: { ROLECALL_WRONG_KEY_LIMIT: String(wrongKeyLimit) } });
  greedy = await service.keyFor('greedy', 'backend');
  modest = await service.keyFor('modest', 'backend');
});
afterAll(() => service.close());

interface Limited {
  readonly app: FastifyInstance;
  readonly limits: Limits;
  pass(milliseconds: number): void;
  ask(key: string | null, url?: string): Promise<number>;
}

const opened: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of opened.splice(0)) {
    app.server.closeAllConnections();
    await app.close();
  }
});

/** The service with limits of its own, by a clock that stands until it is moved. */
async function limited(options: LimitOptions): Promise<Limited> {
  let now = 0;
  const limits = openLimits(options, () => now);
  const silent = pino({ level: 'silent' });
  const app = await buildServer(
    { ...service.runtime, limits },
    { version: '0.0.0-test', requestTimeoutMs: 20_000, logger: silent },
  );
  opened.push(app);
  await app.ready();
  return {
    app,
    limits,
    pass(milliseconds) {
      now += milliseconds;
    },
    async ask(key, url = '/authorize') {
      const isQuestion = url === '/authorize';
      const response = await app.inject({
        method: isQuestion ? 'POST' : 'GET',
        url,
        ...(isQuestion ? { payload: question } : {}),
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
      });
      const { statusCode: status, headers, body: text } = response;
      const answer = { status, headers: headers as never, text, body: response.json() };
      expectContract(answer, isQuestion ? 'POST' : 'GET', url);
      return status;
    },
  };
}

describe('a rate for each credential', () => {
  test('is 429 with Retry-After beyond a second of it, for that credential alone', async () => {
    const { ask, pass } = await limited({ requestsPerSecond: 3, mostInFlight: 100 });
    const asked = [];
    for (let time = 0; time < 5; time += 1) asked.push(await ask(greedy));
    expect(asked).toEqual([200, 200, 200, 429, 429]);
    expect(await ask(modest)).toBe(200);
    pass(334);
    expect(await ask(greedy)).toBe(200);
    expect(await ask(greedy)).toBe(429);
  });

  test('counts every route, and neither refused keys nor what anybody may ask', async () => {
    const { ask } = await limited({ requestsPerSecond: 1, mostInFlight: 100 });
    expect(await ask(`${greedy}x`)).toBe(401);
    expect(await ask(greedy, '/me/permissions')).toBe(200);
    expect(await ask(greedy, '/me/permissions')).toBe(429);
    expect(await ask(greedy, '/version')).toBe(200);
  });

  test('is spent by whoever comes, not by whom they act for', async () => {
    const { app, limits, ask } = await limited({ requestsPerSecond: 1, mostInFlight: 100 });
    const acting = { authorization: `Bearer ${greedy}`, 'rolecall-act-for': 'modest' };
    const act = () => app.inject({ url: '/me/permissions', headers: acting });
    expect((await act()).statusCode).not.toBe(429);
    expect((await act()).statusCode).toBe(429);
    expect(await ask(modest)).toBe(200);
    expect(limits.counts()).toContainEqual([{ limit: 'rate' }, 1]);
  });

  test('is none unless it is configured', async () => {
    const { ask } = await limited({ requestsPerSecond: undefined, mostInFlight: 100 });
    for (let time = 0; time < 200; time += 1) expect(await ask(greedy)).toBe(200);
  });
});

/** A question whose last letter has not come yet. */
function hold(app: FastifyInstance, key: string) {
  const { port } = app.server.address() as AddressInfo;
  const body = JSON.stringify(question);
  const headers = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    'content-length': body.length,
  };
  const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/authorize', headers });
  const status = new Promise<number | undefined>((resolve) => {
    request.on('response', (response) => resolve(response.resume().statusCode));
    request.on('error', () => resolve(undefined));
  });
  request.write(body.slice(0, -1));
  return { status, finish: () => request.end(body.slice(-1)), hangUp: () => request.destroy() };
}

async function holdMany(app: FastifyInstance, limits: Limits, keys: readonly string[]) {
  const before = limits.inFlight;
  const held = keys.map((key) => hold(app, key));
  await vi.waitFor(() => expect(limits.inFlight).toBe(before + keys.length), 10_000);
  return held;
}

describe('requests at once', () => {
  async function listening(mostInFlight: number) {
    const made = await limited({ requestsPerSecond: undefined, mostInFlight });
    await made.app.listen({ host: '127.0.0.1', port: 0 });
    return made;
  }

  test('beyond the bound are 503 at once; health is answered, and those under way are (L-06)', async () => {
    const { app, limits, ask } = await listening(4);
    const held = await holdMany(app, limits, [greedy, greedy, modest, modest]);
    expect(await ask(modest)).toBe(503);
    expect(await ask('no key at all')).toBe(503);
    expect(await Promise.all(['/livez', '/readyz', '/version'].map((url) => ask(null, url)))).toEqual([
      200, 200, 200,
    ]);
    for (const { finish } of held) finish();
    expect(await Promise.all(held.map(({ status }) => status))).toEqual([200, 200, 200, 200]);
    await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
    expect(await ask(modest)).toBe(200);
  });

  test('of one credential are at most half, so that others are answered', async () => {
    const { app, limits, ask } = await listening(4);
    const held = await holdMany(app, limits, [greedy, greedy]);
    for (let time = 0; time < 50; time += 1) {
      expect(await ask(greedy)).toBe(429);
      expect(await ask(modest)).toBe(200);
    }
    for (const { finish } of held) finish();
    expect(await Promise.all(held.map(({ status }) => status))).toEqual([200, 200]);
    await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
    expect(await ask(greedy)).toBe(200);
  });

  test('give their place back when their client hangs up, and when they were refused', async () => {
    const { app, limits, ask } = await listening(4);
    for (const { hangUp } of await holdMany(app, limits, [greedy, greedy])) hangUp();
    await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
    for (let time = 0; time < 10; time += 1) {
      expect(await ask(`${greedy}x`)).toBe(401);
      expect(await ask(null, '/me/permissions')).toBe(401);
      expect(await ask(greedy, '/journal')).toBe(403);
    }
    await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
    const again = await holdMany(app, limits, [greedy, greedy]);
    for (const { finish } of again) finish();
    expect(await Promise.all(again.map(({ status }) => status))).toEqual([200, 200]);
  });
});

test('of requests sent without waiting one takes a place, and gives it back when its connection ends (L-06)', async () => {
  const { app, limits } = await limited({ requestsPerSecond: undefined, mostInFlight: 1 });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const entered = vi.spyOn(limits, 'enter');
  for (const key of [greedy, `${greedy}x`]) {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    socket.on('data', (piece) => {
      text += piece;
    });
    const request = `GET /me/permissions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n\r\n`;
    socket.write(request.repeat(33));
    const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
    await vi.waitFor(() => expect(statuses()).toEqual(Array(33).fill(key === greedy ? 200 : 401)), 10_000);
    entered.mockClear();
    socket.write(request.repeat(50));
    await vi.waitFor(() => expect(entered).toHaveBeenCalled(), 10_000);
    socket.destroy();
    await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
  }
});

test('a body that is none gives the place of its request back, though its client says nothing more', async () => {
  const { app, limits } = await limited({ requestsPerSecond: undefined, mostInFlight: 1 });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const entered = vi.spyOn(limits, 'enter');
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {}).resume();
  const headers = `authorization: Bearer ${greedy}\r\ncontent-type: application/json\r\n`;
  socket.write(`POST /authorize HTTP/1.1\r\nhost: x\r\n${headers}transfer-encoding: chunked\r\n\r\n`);
  await vi.waitFor(() => expect(entered).toHaveBeenCalled(), 10_000);
  socket.write('no chunk\r\n');
  await vi.waitFor(() => expect(limits.inFlight).toBe(0), 10_000);
  socket.destroy();
});

/** Every use of the database for who asks and how things stand. */
async function readsSoFar(): Promise<number> {
  const text = await service.runtime.metrics.text();
  const counted = /^rolecall_(?:row_reads_total(?:\{.*\})?|questions_per_head_read_count) (\d+)$/gm;
  const all = [...text.matchAll(counted)].map(([, value]) => Number(value));
  expect(all.length).toBeGreaterThanOrEqual(2);
  return all.reduce((sum, value) => sum + value, 0);
}

test('whoever guesses keys gets no queries, and locks nobody out (A-24)', { timeout: 600_000 }, async () => {
  const from = '192.0.2.1';
  const ask = async (key: string, remoteAddress = from) => {
    const headers = { authorization: `Bearer ${key}` };
    const { statusCode } = await service.app.inject({
      method: 'POST',
      url: '/authorize',
      headers,
      payload: { ...question, freshness: 'lease' },
      remoteAddress,
    });
    return statusCode;
  };
  const guessed = (guess: number) =>
    formatApiKey({ id: String(guess).padStart(12, 'g'), secret: 'w'.repeat(43) });
  const [guesses, atOnce] = [long ? 10_000 : 2_000, 50];
  const answers = new Map<number, number>();
  const good = [];
  expect(await ask(modest)).toBe(200);
  const stranger = await service.keyFor('stranger', 'backend');
  const began = performance.now();
  const before = await readsSoFar();
  for (let guess = 0; guess < guesses; guess += atOnce) {
    const wave = Array.from({ length: atOnce }, (_, index) => ask(guessed(guess + index)));
    good.push(await ask(modest));
    for (const status of await Promise.all(wave)) answers.set(status, (answers.get(status) ?? 0) + 1);
  }
  const reads = (await readsSoFar()) - before;
  const seconds = (performance.now() - began) / 1_000;
  expect(new Set(good)).toEqual(new Set([200]));
  expect([...answers.keys()].toSorted()).toEqual([401, 429]);
  expect(answers.get(401)).toBeLessThanOrEqual(wrongKeyLimit * (seconds + 1));
  // Whatever comes at once shares a reading of head and rows, as often as the bound lets one more in.
  const bound = 3 * wrongKeyLimit * (seconds + 2) + good.length;
  expect(reads).toBeLessThan(bound);
  summarize('guessed keys (A-24)', {
    guesses,
    'looked up': answers.get(401) ?? 0,
    'turned away': answers.get(429) ?? 0,
    reads,
    seconds: seconds.toFixed(1),
  });

  await Promise.all(Array.from({ length: wrongKeyLimit * 10 }, (_, guess) => ask(guessed(guess))));
  expect(await ask(stranger, '192.0.2.2')).toBe(200);
  // A change of its user makes the process forget the key; that it was good is known still.
  await service.as().put('/users/modest/roles/loader').expect(201);
  await Promise.all(Array.from({ length: wrongKeyLimit * 10 }, (_, guess) => ask(guessed(guess))));
  expect(await ask(modest)).toBe(200);
});
