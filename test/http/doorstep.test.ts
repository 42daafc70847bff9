import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { formatApiKey } from '../../src/domain/api-keys.ts';
import { buildServer } from '../../src/http/server.ts';
import { type Doorstep, openDoorstep } from '../../src/services/doorstep.ts';
import { type Limits, openLimits } from '../../src/services/limits.ts';
import { startTestService, type TestService } from '../support/service.ts';

const wrong = formatApiKey({ id: 'g'.repeat(12), secret: 'w'.repeat(43) });

let service: TestService;
let good: string;
beforeAll(async () => {
  service = await startTestService();
  good = await service.keyFor('good', 'backend');
});
afterAll(() => service.close());

interface Crowded {
  readonly app: FastifyInstance;
  readonly doorstep: Doorstep;
  readonly limits: Limits;
  /** Sends one request for each key over one connection, without waiting for any answer. */
  ask(...keys: readonly string[]): Promise<Asked>;
}

interface Asked {
  readonly socket: Socket;
  /** The statuses of the answers so far. */
  statuses(): readonly number[];
  text(): string;
}

const apps: FastifyInstance[] = [];
const sockets: Socket[] = [];
// The time at which somebody is told comes when the test says so.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const app of apps.splice(0)) await app.close();
});

/** The service, after so many refusals of this address that those that follow wait. */
async function crowded(requestsPerSecond?: number, mostInFlight = 100): Promise<Crowded> {
  const limits = openLimits({ requestsPerSecond, mostInFlight }, () => 0);
  const doorstep = openDoorstep(() => 0);
  const logger = pino({ level: 'silent' });
  const options = { version: '0.0.0-test', requestTimeoutMs: 20_000, logger };
  const app = await buildServer({ ...service.runtime, limits, doorstep }, options);
  apps.push(app);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const passer = { connection: { destroy() {} }, ip: '127.0.0.1', deadline: 0, tell() {} };
  for (let one = 0; one < 200; one += 1) doorstep.turnAway(passer);
  return {
    app,
    doorstep,
    limits,
    async ask(...keys) {
      const socket = connect({ host: '127.0.0.1', port }).setEncoding('latin1');
      sockets.push(socket);
      let text = '';
      socket.on('data', (piece) => {
        text += piece;
      });
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(
        keys
          .map((key) => `GET /me/permissions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n\r\n`)
          .join(''),
      );
      const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
      return { socket, statuses, text: () => text };
    },
  };
}

const patience = { timeout: 20_000 };

async function waitsAtTheDoor({ doorstep }: Crowded, count = 1): Promise<void> {
  await expect.poll(() => doorstep.waiting, patience).toBe(count);
}

const kinds = {
  'a wrong key': async () => ({ of: await crowded(), key: wrong, status: 401 }),
  'a key that had its rate': async () => {
    const of = await crowded(1);
    const first = await of.ask(good);
    await expect.poll(() => first.statuses(), patience).toEqual([200]);
    return { of, key: good, status: 429 };
  },
  'whoever comes when too many are under way': async () => {
    const of = await crowded(undefined, 0);
    return { of, key: good, status: 503 };
  },
};

test.each(Object.entries(kinds))(
  'who is refused again and again waits for it, %s, is not under way, and asks again after it (L-06)',
  async (_kind, open) => {
    const { of, key, status } = await open();
    const asked = await of.ask(key);
    await waitsAtTheDoor(of);
    expect(of.limits.inFlight).toBe(0);
    expect(asked.statuses()).toEqual([]);
    vi.advanceTimersByTime(1_000);
    await expect.poll(() => asked.statuses(), patience).toEqual([status]);
    expect(of.doorstep.waiting).toBe(0);
    if (status !== 401) expect(asked.text()).toContain('retry-after: 1\r\n');
    asked.socket.write(`GET /version HTTP/1.1\r\nhost: x\r\n\r\n`);
    await expect.poll(() => asked.statuses(), patience).toEqual([status, 200]);
  },
);

test('whoever else comes from that address is answered while they wait (A-24)', async () => {
  const of = await crowded();
  const refused = await Promise.all(Array.from({ length: 50 }, () => of.ask(wrong)));
  await waitsAtTheDoor(of, 50);
  const asked = await of.ask(good);
  await expect.poll(() => asked.statuses(), patience).toEqual([200]);
  expect(of.doorstep.waiting).toBe(50);
  expect(refused.flatMap(({ statuses }) => statuses())).toEqual([]);
});

test('who goes away is not waited for', async () => {
  const of = await crowded();
  const asked = await of.ask(wrong);
  await waitsAtTheDoor(of);
  asked.socket.destroy();
  await waitsAtTheDoor(of, 0);
});

test('of what is sent without waiting to be told, the next is looked at when the one before was told', async () => {
  const of = await crowded();
  const entered = vi.spyOn(of.limits, 'enter');
  const asked = await of.ask(wrong, wrong, good);
  for (const statuses of [[401], [401, 401]]) {
    await waitsAtTheDoor(of);
    expect(entered).toHaveBeenCalledTimes(statuses.length);
    vi.advanceTimersByTime(1_000);
    await expect.poll(() => asked.statuses().slice(0, statuses.length), patience).toEqual(statuses);
  }
  await expect.poll(() => asked.statuses(), patience).toEqual([401, 401, 200]);
});

test('who sends on and on without waiting to be told is read no further, told once and hung up on', async () => {
  const of = await crowded();
  const entered = vi.spyOn(of.limits, 'enter');
  const [asked, [connection]] = await Promise.all([
    of.ask(...Array<string>(100).fill(wrong)),
    once(of.app.server, 'connection') as Promise<[Socket]>,
  ]);
  await waitsAtTheDoor(of);
  await expect.poll(() => connection.isPaused(), patience).toBe(true);
  asked.socket.write('GET /me/permissions HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100_000));
  await pause(100);
  expect(connection.bytesRead).toBeLessThan(100_000);
  vi.advanceTimersByTime(1_000);
  await expect.poll(() => asked.socket.destroyed, patience).toBe(true);
  expect(asked.statuses()).toEqual([401]);
  expect(entered).toHaveBeenCalledTimes(1);
  expect([of.doorstep.waiting, of.limits.inFlight]).toEqual([0, 0]);
  expect(of.limits.counts()).toContainEqual([{ limit: 'connection' }, 1]);
});

test('a server that closes tells all who wait, and waits for none', async () => {
  const of = await crowded();
  const asked = await Promise.all([of.ask(wrong), of.ask(wrong)]);
  await waitsAtTheDoor(of, 2);
  await of.app.close();
  await expect.poll(() => asked.map(({ statuses }) => statuses()), patience).toEqual([[401], [401]]);
  expect(of.doorstep.waiting).toBe(0);
});
