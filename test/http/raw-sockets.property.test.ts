import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endingOperations } from '../support/contract.ts';
import { framings, smuggledUser } from '../support/hostile/framing.ts';
import { cellsOf, type Request, requestOf } from '../support/hostile/requests.ts';
import {
  expectCleanPrototypes,
  expectSound,
  expectSoundLog,
  refusedInput,
} from '../support/hostile/verdict.ts';
import { answerOf, bytesOf, type Exchange, exchange, type RawAnswer } from '../support/hostile/wire.ts';
import { inLanes } from '../support/lanes.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** How often each framing of each route is drawn. */
const draws = long ? 40 : 1;
/**
 * How many exchanges are under way at once whose requests may be carried out, up to twenty in each: writes come one after
 * the other, and what a busy machine does not do in time is rightly 503.
 */
const atOnce = 6;
/** One in so many of the cells of a route goes over a socket too. */
const cellShare = long ? 4 : 64;

let service: TestService;
let port: number;
const lines: string[] = [];
const counts = { exchanges: 0, answers: 0, refused: 0, silent: 0 };

beforeAll(async () => {
  // Many are sent at once, and none is to be refused because too many wait.
  const variables = { ROLECALL_POOL_SIZE: '10' };
  service = await startTestService({ variables, onLog: (line) => void lines.push(line) });
  await service.as().post('/users').send({ id: 'subject' });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  port = (service.app.server.address() as AddressInfo).port;
});
afterAll(async () => {
  summarize('raw sockets (N-12, N-13)', counts);
  await service.close();
});

const streams = (text: RawAnswer) => text.headers['content-type']?.startsWith('text/event-stream');

/** How long an answer is waited for, in milliseconds: to what never becomes a request, is to be refused, or is one. */
const patience = { unfinished: 1_000, refused: 5_000, whole: 20_000 };

async function sent(bytes: Buffer, hasBodies = true, wait = patience.whole): Promise<Exchange> {
  const result = await exchange(port, bytes, wait);
  counts.exchanges += 1;
  counts.answers += result.answers.length;
  if (result.answers.length === 0) counts.silent += 1;
  for (const answer of result.answers) {
    expect(answer.status, answer.text).toBeLessThan(500);
    if (answer.status >= 400) counts.refused += 1;
    if (hasBodies && !streams(answer)) expectSound(answerOf(answer));
  }
  expectCleanPrototypes();
  expectSoundLog(lines.splice(0));
  return result;
}

function authorized(request: Request): Request {
  return { ...request, headers: { authorization: `Bearer ${service.adminKey}`, ...request.headers } };
}

const about = (operation: (typeof endingOperations)[number]) => {
  const tried = (operation.parameters ?? []).some(({ name }) => name === 'dryRun');
  return authorized(requestOf(operation, tried ? { query: [['dryRun', 'dryRun=true']] } : {}));
};

describe.for(Object.entries(framings))('%s', ([kind, { bytes: framed, outcome }]) => {
  test('harms nobody, at any route, and is understood in one way or in none', {
    timeout: 600_000,
  }, async () => {
    const hasBodies = kind !== 'other methods' && kind !== 'bytes changed';
    const isWhole = outcome === 'any' && kind !== 'bytes changed';
    const wait = patience[isWhole ? 'whole' : outcome === 'refused' ? 'refused' : 'unfinished'];
    const holds = (operation: (typeof endingOperations)[number]) =>
      fc.asyncProperty(framed(about(operation)), async (bytes) => {
        const { answers, isClosed } = await sent(bytes, hasBodies, wait);
        if (outcome === 'any') return;
        expect(answers.filter(({ status }) => status < 400)).toEqual([]);
        if (outcome === 'not done') return;
        expect(answers.length).toBeLessThanOrEqual(1);
        expect(isClosed).toBe(true);
      });
    const lanes = isWhole ? atOnce : endingOperations.length;
    await inLanes(lanes, endingOperations, (operation) => fc.assert(holds(operation), { numRuns: draws }));
    expect((await service.as().get(`/users/${smuggledUser}`)).status).toBe(404);
    expect((await service.as().get('/livez')).status).toBe(200);
  });
});

test('the same bytes get the same verdict over a socket and without one', { timeout: 600_000 }, async () => {
  for (const operation of endingOperations) {
    const offset = Math.floor(Math.random() * cellShare);
    const cells = cellsOf(operation).filter(
      ({ name }, at) => /^(body|query)/.test(name) && (at + offset) % cellShare === 0,
    );
    for (const cell of cells)
      await fc.assert(
        fc.asyncProperty(cell.requests, async (drawn) => {
          const request = authorized(drawn);
          const { answers } = await sent(bytesOf(request, ['connection: close']));
          const injected = await service.app.inject({
            method: request.method as 'GET',
            url: request.target,
            headers: request.headers,
            ...(request.body ? { payload: request.body } : {}),
          });
          const verdicts = [...answers.map(({ status }) => status), injected.statusCode];
          const isRefused = verdicts.map((status) => refusedInput.includes(status));
          expect(isRefused, `${cell.name}: ${verdicts}`).toEqual([isRefused[0], isRefused[0]]);
        }),
        { numRuns: 1 },
      );
  }
});
