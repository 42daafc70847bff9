import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Arrival, gatherArrivals } from '../../src/http/arrivals.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Handed {
  readonly path: string | undefined;
  readonly mark: number | undefined;
  readonly arrivedAt: number | undefined;
}

/** What was handed over, each time that something was, of the texts that came in one turn over a connection each. */
async function handedOver(texts: readonly string[], gather = gatherArrivals): Promise<readonly Handed[][]> {
  const times: Handed[][] = [];
  let mark = 0;
  let isNew = true;
  let handed = 0;
  const handle = gather(
    ({ url: path, mark, arrivedAt }, answer) => {
      if (isNew) times.push([]);
      isNew = false;
      // All that are handed over together are, before anything else happens.
      queueMicrotask(() => {
        isNew = true;
      });
      times.at(-1)?.push({ path, mark, arrivedAt });
      handed += 1;
      answer.end();
    },
    { expectQuestions: () => ++mark },
  );
  const server = createServer({ IncomingMessage: Arrival }, handle).listen(0, '127.0.0.1');
  ends.push(() => server.close().closeAllConnections());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let accepted = 0;
  server.on('connection', () => {
    accepted += 1;
  });
  const sockets = await Promise.all(
    texts.map(async () => {
      const socket = connect({ host: '127.0.0.1', port }).on('error', () => {});
      await once(socket, 'connect');
      return socket;
    }),
  );
  // Of which Node takes one in each turn.
  await expect.poll(() => accepted).toBe(texts.length);
  for (const [place, socket] of sockets.entries()) socket.write(texts[place] as string);
  await expect.poll(() => handed).toBe(texts.length);
  return times;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

/** Fails unless those that come together are handed over together with one mark. */
async function together(gather = gatherArrivals): Promise<void> {
  const begun = performance.now();
  const times = await handedOver(
    Array.from({ length: 20 }, (_, n) => get(`/${n}`)),
    gather,
  );
  expect(times).toHaveLength(1);
  expect(new Set(times[0]?.map(({ mark }) => mark))).toEqual(new Set([1]));
  for (const { arrivedAt = 0 } of times[0] ?? []) expect(arrivedAt).toBeGreaterThan(begun);
}

/** Fails unless of very many each part that is handed over has its own mark. */
async function inParts(gather = gatherArrivals): Promise<void> {
  const times = await handedOver(
    Array.from({ length: 300 }, (_, n) => get(`/${n}`)),
    gather,
  );
  for (const part of times) {
    expect(part.length).toBeLessThanOrEqual(128);
    expect(new Set(part.map(({ mark }) => mark)).size).toBe(1);
  }
  const marks = times.map(([first]) => first?.mark);
  expect(marks).toEqual([...marks].sort((a = 0, b = 0) => a - b));
  expect(new Set(marks).size).toBe(times.length);
}

/** Fails unless a request of which a part is still to come has no mark. */
async function unmarked(gather = gatherArrivals): Promise<void> {
  const begun = 'POST /begun HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab';
  const whole = 'POST /whole HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab';
  const times = await handedOver([begun, whole], gather);
  const marks = Object.fromEntries(times.flat().map(({ path, mark }) => [path, mark]));
  expect(marks['/begun']).toBeUndefined();
  expect(marks['/whole']).toBeGreaterThan(0);
}

test('requests that come together are handed over together, as of one mark', () => together());

test('very many are handed over in parts, each as of a mark of its own', () => inParts());

test('a request that has not come as a whole is as of no mark', () => unmarked());

const file = 'http/arrivals.ts';

test.for<readonly [string, Omit<Breakage, 'file'>, (gather: typeof gatherArrivals) => Promise<void>]>([
  ['nobody waits for others', { replace: 'await endOfTurn(turnsToJoin);', by: ';' }, together],
  ['all have one mark', { replace: 'gathered.splice(0, mostTogether)', by: 'gathered.splice(0)' }, inParts],
  ['what has begun to come counts as whole', { replace: 'if (request.complete) ', by: '' }, unmarked],
])('a build is found out in which %s', async ([, breakage, tried]) => {
  await withBrokenBuild({ file, ...breakage }, async (load) => {
    const broken = await load<{ gatherArrivals: typeof gatherArrivals }>(file);
    await expect(tried(broken.gatherArrivals)).rejects.toThrow();
  });
});
