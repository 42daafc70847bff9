import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exchange } from '../support/hostile/wire.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** How often each is sent. */
const times = long ? 50 : 1;

let service: TestService;
let port: number;
beforeAll(async () => {
  service = await startTestService();
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  port = (service.app.server.address() as AddressInfo).port;
});
afterAll(() => service.close());

const post = (path: string, fields: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${service.adminKey}\r\ncontent-type: application/json\r\n${fields}`;
const withBody = (path: string, body: string) =>
  post(path, `connection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
const get = (target: string, fields = '') =>
  `GET ${target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${service.adminKey}\r\nconnection: close\r\n${fields}\r\n`;

const members = (names: Iterable<number>) => `{${[...names].map((name) => `"${name}":0`).join(',')}}`;
const counted = (count: number, step: number) => Array.from({ length: count }, (_, at) => at * step);

/** What costs some readers more than its size: each is refused, and what that took is told. */
const costly: Readonly<Record<string, readonly [request: () => string, statuses: readonly number[]]>> = {
  'a million levels': [() => withBody('/users', '['.repeat(1_000_000)), [400]],
  '170,000 nested objects': [() => withBody('/users', '{"a":'.repeat(170_000)), [400]],
  '90,000 members with names of whole numbers': [
    () => withBody('/users', members(counted(90_000, 1))),
    [400],
  ],
  // V8 hashes such names by their value: all of these have the same last bits.
  'members whose names of whole numbers collide': [
    () => withBody('/users', members(counted(80_000, 128))),
    [400],
  ],
  'members of a grant that collide': [
    () => withBody('/users/root/roles/loader', members(counted(80_000, 128))).replace('POST', 'PUT'),
    [400],
  ],
  'a batch of 50,000': [
    () => withBody('/authorize/batch', `{"checks":[${Array(50_000).fill('{"permission":1}').join(',')}]}`),
    [400],
  ],
  'a batch of 100,000': [
    () => withBody('/authorize/batch', `{"checks":[${Array(100_000).fill('{"permission":1}').join(',')}]}`),
    [413],
  ],
  'a thousand parameters': [
    () =>
      get(
        `/users?${counted(1_000, 1)
          .map((at) => `x${at}=1`)
          .join('&')}`,
      ),
    [400],
  ],
  'a header of 64 kB': [() => get('/users', `x: ${'x'.repeat(65_536)}\r\n`), [413, 431]],
  '10,000 headers': [
    () =>
      get(
        '/users',
        counted(10_000, 1)
          .map((at) => `x${at}: y\r\n`)
          .join(''),
      ),
    [413, 431],
  ],
  'a text of a megabyte that is almost an id': [
    () => withBody('/users', `{"id":"${'a'.repeat(1_000_000)}\u0001"}`),
    [400],
  ],
  'a megabyte of escapes': [() => withBody('/users', `{"id":"${'\\u0061'.repeat(170_000)}"}`), [400]],
};

test.for(Object.entries(costly))(
  '%s is refused, and the next is answered (N-06)',
  async ([name, [request, due]]) => {
    const bytes = Buffer.from(request());
    const spent: number[] = [];
    for (let time = 0; time < times; time += 1) {
      const before = process.cpuUsage();
      const { answers } = await exchange(port, bytes, 20_000);
      const { user, system } = process.cpuUsage(before);
      spent.push((user + system) / 1_000);
      expect(answers).toHaveLength(1);
      expect(due).toContain(answers[0]?.status);
    }
    summarize(`${name} (N-06)`, { bytes: bytes.length, times, ...millisecondsOfProcessor(spent) });
    await service.as().get('/users/root').expect(200);
  },
);

/** Of both sides, for the client is in this process. */
const millisecondsOfProcessor = (spent: readonly number[]) => {
  const { p50, max } = spread(spent);
  return { 'ms of processor p50': p50 ?? '', max: max ?? '' };
};

/** Writes as long as the other side takes it; says how much that was and what it answered. */
async function pour(piece: Buffer, most: number): Promise<{ sent: number; answer: string }> {
  const socket = connect({ port, host: '127.0.0.1' });
  let answer = '';
  let sent = 0;
  socket.on('data', (part) => {
    answer += part.toString('latin1');
  });
  // Who refuses before everything was read hangs up on the rest of it.
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.write(post('/users', 'transfer-encoding: chunked\r\n\r\n'));
  while (sent < most && !socket.closed && socket.writable) {
    sent += piece.length;
    if (!socket.write(piece))
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed]);
    await pause();
  }
  socket.end('0\r\n\r\n');
  await closed;
  return { sent, answer };
}

test('a body of 100 MB in chunks is refused when it is too large, and not read to its end (N-06)', {
  timeout: 120_000,
}, async () => {
  const size = 65_536;
  const chunk = Buffer.from(`${size.toString(16)}\r\n${' '.repeat(size)}\r\n`);
  const before = process.cpuUsage();
  const { sent, answer } = await pour(chunk, 100_000_000);
  const { user, system } = process.cpuUsage(before);
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  expect(sent).toBeLessThan(100_000_000);
  summarize('100 MB in chunks (N-06)', { 'bytes taken': sent, 'ms of processor': (user + system) / 1_000 });
  await service.as().get('/users/root').expect(200);
});

/** A client that sends a letter now and then. */
function dribble(text: string, everyMs: number): { socket: Socket; readonly answer: string } {
  const socket = connect({ port, host: '127.0.0.1' });
  const seen = { socket, answer: '' };
  let at = 0;
  const timer = setInterval(() => {
    if (socket.writable) socket.write(text[at++ % text.length] as string);
  }, everyMs);
  socket.on('data', (part) => {
    seen.answer += part.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => clearInterval(timer));
  return seen;
}

test('hundreds who send a letter a second keep nobody from an answer, and are hung up on (N-06)', {
  timeout: 180_000,
}, async () => {
  const headOnly = get('/users', 'x: ').slice(0, -4);
  const body = post('/users', 'content-length: 1000\r\n\r\n');
  const slow = Array.from({ length: 300 }, (_, at) => {
    const client = dribble('x', 1_000);
    client.socket.write(at % 2 === 0 ? headOnly : body);
    return client;
  });
  try {
    const waited: number[] = [];
    for (let time = 0; time < (long ? 1_000 : 50); time += 1) {
      const before = performance.now();
      await service.as().get('/users/root').expect(200);
      waited.push(performance.now() - before);
    }
    summarize('beside 300 slow clients (N-06)', spread(waited));
    if (!long) return;
    // Node looks every 30 seconds at who takes longer than 30 seconds.
    const deadline = performance.now() + 90_000;
    while (slow.some(({ socket }) => !socket.closed) && performance.now() < deadline) await pause(500);
    expect(slow.filter(({ socket }) => !socket.closed)).toHaveLength(0);
    for (const { answer } of slow) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
  } finally {
    for (const { socket } of slow) socket.destroy();
  }
});
