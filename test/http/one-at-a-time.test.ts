import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Arrival, gatherArrivals } from '../../src/http/arrivals.ts';
import { answerBrokenRequest } from '../../src/http/broken-requests.ts';
import { oneAtATime } from '../../src/http/one-at-a-time.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';

/** One connection to a server that answers when the test says so. */
interface Conversation {
  readonly socket: Socket;
  /** The server's end of it. */
  readonly served: Socket;
  /** What was handed over, in that order, and its answer. */
  readonly handed: { readonly path: string; readonly answer: ServerResponse }[];
  /** What Node made of the bytes so far. */
  requests(): number;
  /** The bodies of the answers so far. */
  answers(): readonly string[];
  isClosed(): boolean;
  floods(): number;
}

interface Build {
  readonly oneAtATime: typeof oneAtATime;
  readonly gatherArrivals: typeof gatherArrivals;
}

const sound: Build = { oneAtATime, gatherArrivals };
const nothingIsKnown = { expectQuestions: () => 0 };

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function converse(text: string, build = sound): Promise<Conversation> {
  const handed: Conversation['handed'] = [];
  let made = 0;
  let floods = 0;
  const listener = build.oneAtATime<typeof Arrival>(
    build.gatherArrivals((request, answer) => {
      request.resume();
      handed.push({ path: request.url ?? '', answer });
    }, nothingIsKnown),
    () => {
      floods += 1;
    },
  );
  const { socket, served } = await connected((request, answer) => {
    made += 1;
    listener(request, answer);
  });
  let read = '';
  let isClosed = false;
  socket.setEncoding('latin1').on('data', (piece) => {
    read += piece;
  });
  socket
    .on('error', () => {})
    .on('close', () => {
      isClosed = true;
    });
  socket.write(text);
  const answers = () => [...read.matchAll(/\r\n\r\n(\/\d+)/g)].map(([, path]) => path as string);
  return {
    socket,
    served,
    handed,
    requests: () => made,
    answers,
    isClosed: () => isClosed,
    floods: () => floods,
  };
}

async function connected(
  listener: RequestListener<typeof Arrival>,
): Promise<Pick<Conversation, 'socket' | 'served'>> {
  const server = createServer({ IncomingMessage: Arrival }, listener)
    .listen(0, '127.0.0.1')
    .on('clientError', answerBrokenRequest);
  await once(server, 'listening');
  const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  ends.push(
    () => socket.destroy(),
    () => server.close(),
    () => server.closeAllConnections(),
  );
  const [served] = (await once(server, 'connection')) as [Socket];
  return { socket, served };
}

const requests = (count: number, first = 0) =>
  Array.from({ length: count }, (_, n) => `GET /${first + n} HTTP/1.1\r\nhost: x\r\n\r\n`).join('');
const paths = (count: number) => Array.from({ length: count }, (_, n) => `/${n}`);

/** Answers one request after the other, and looks each time that no other was handed over before. */
async function answerAll({ handed }: Conversation, from: number, to: number): Promise<void> {
  for (let place = from; place < to; place += 1) {
    await expect.poll(() => handed.length, { interval: 5 }).toBe(place + 1);
    const { path, answer } = handed[place] as Conversation['handed'][number];
    answer.end(path);
  }
}

/** Fails unless 33 in one piece are handed over in turn, and 33 more after them. */
async function answersInTurn(build = sound): Promise<void> {
  const conversation = await converse(requests(33), build);
  await answerAll(conversation, 0, 33);
  await expect.poll(() => conversation.answers()).toEqual(paths(33));
  conversation.socket.write(requests(33, 33));
  await answerAll(conversation, 33, 66);
  await expect.poll(() => conversation.answers()).toEqual(paths(66));
}

/** Fails unless of more than can wait the one under way is answered, and nothing more is read. */
async function stopsReading(build = sound): Promise<void> {
  const { handed, socket, served, answers, isClosed, floods, ...seen } = await converse(requests(40), build);
  await expect.poll(() => handed.length).toBe(1);
  await expect.poll(() => served.isPaused()).toBe(true);
  const flood = requests(100_000);
  socket.write(flood);
  // As Node does when a slow reader has taken what was written.
  served.resume();
  await pause(100);
  expect(served.bytesRead).toBeLessThan(flood.length / 2);
  expect(seen.requests()).toBe(34);
  handed[0]?.answer.end('/0');
  await expect.poll(answers).toEqual(['/0']);
  expect(isClosed()).toBe(false);
  await expect.poll(isClosed, { timeout: 5_000 }).toBe(true);
  expect(answers()).toEqual(['/0']);
  expect(handed.map(({ path }) => path)).toEqual(['/0']);
  expect(floods()).toBe(1);
}

/** Fails unless what waits before bytes that are no request is left, as nobody would read its answer. */
async function leavesWhatIsUnanswerable(build = sound): Promise<void> {
  const { handed, answers, isClosed } = await converse(`${requests(2)}no request\r\n\r\n`, build);
  await expect.poll(() => handed.length).toBe(1);
  handed[0]?.answer.end('/0');
  await expect.poll(isClosed, { timeout: 5_000 }).toBe(true);
  expect(answers()).toEqual(['/0']);
  expect(handed.map(({ path }) => path)).toEqual(['/0']);
}

test('requests of one connection are handed over one after the other, each when the one before was answered', () =>
  answersInTurn());

test('of more than 33 the one under way is answered, and the connection read no further and closed within a second (A-24)', () =>
  stopsReading());

test('what waits before bytes that are no request is not looked at', () => leavesWhatIsUnanswerable());

test('bodies come whole to those that waited', async () => {
  const bodies: string[] = [];
  const { socket } = await connected(
    oneAtATime(
      async (request, answer) => {
        let body = '';
        for await (const piece of request.setEncoding('utf8')) body += piece;
        bodies.push(body);
        setTimeout(() => answer.end('x'), 5);
      },
      () => {},
    ),
  );
  const sent = [20, 100_000, 3, 50_000].map((length, n) => String(n).repeat(length));
  socket.write(
    sent
      .map((body) => `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      .join(''),
  );
  await expect.poll(() => bodies.length).toBe(sent.length);
  expect(bodies).toEqual(sent);
});

test('nothing that waited is handed over when its client has hung up, or its server', async () => {
  const gone = await converse(requests(5));
  await expect.poll(() => gone.handed.length).toBe(1);
  const closed = once(gone.handed[0]?.answer as ServerResponse, 'close');
  gone.socket.destroy();
  await closed;
  const dismissed = await converse(requests(5));
  await expect.poll(() => dismissed.handed.length).toBe(1);
  dismissed.handed[0]?.answer.setHeader('connection', 'close').end('/0');
  await expect.poll(dismissed.isClosed).toBe(true);
  expect([gone, dismissed].map(({ handed }) => handed.length)).toEqual([1, 1]);
  expect(dismissed.answers()).toEqual(['/0']);
});

const file = 'http/one-at-a-time.ts';
const hanging = 'http/hanging-up.ts';
const arrivals = 'http/arrivals.ts';

const breakages: Readonly<Record<string, readonly [Breakage, (build: Build) => Promise<void>]>> = {
  'all are handed over at once': [
    { file, replace: 'if (answer.socket === socket)', by: 'if (answer)' },
    answersInTurn,
  ],
  'who has waited is counted for good': [
    { file, replace: 'waiting.set(socket, waitingOn(socket) - 1);', by: '' },
    answersInTurn,
  ],
  'any number waits': [
    { file, replace: 'const mostWaiting = 32;', by: 'const mostWaiting = 64;' },
    stopsReading,
  ],
  'who sent too many is answered on': [
    { file, replace: 'if (isFlooded(socket)) return hangUpSoon(socket);', by: '' },
    stopsReading,
  ],
  'who sends too many is read on': [
    { file: hanging, replace: "socket.on('resume', () => socket.pause()).pause();", by: '' },
    stopsReading,
  ],
  'who sends too many is read on when Node reads on': [
    { file: hanging, replace: ".on('resume', () => socket.pause())", by: '' },
    stopsReading,
  ],
  'the rest of a piece is read on': [
    { file: hanging, replace: 'leaveTheRest(socket);', by: '' },
    stopsReading,
  ],
  'who sent too many comes back at once': [
    {
      file: hanging,
      replace: 'setTimeout(() => socket.destroy(),',
      by: 'socket.destroy(); setTimeout(() => {},',
    },
    stopsReading,
  ],
  'what nobody would read the answer of is handed over': [
    { file: arrivals, replace: 'if (request.socket.writable)', by: 'if (request.socket)' },
    leavesWhatIsUnanswerable,
  ],
};

test.each(Object.entries(breakages))('a build is found out in which %s', async (_what, [breakage, tried]) => {
  await withBrokenBuild([breakage], async (load) => {
    const { oneAtATime } = await load<Pick<Build, 'oneAtATime'>>(file);
    const { gatherArrivals } = await load<Pick<Build, 'gatherArrivals'>>(arrivals);
    await expect(tried({ oneAtATime, gatherArrivals })).rejects.toThrow();
  });
});
