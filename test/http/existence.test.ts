import { afterAll, beforeAll, expect, test } from 'vitest';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { spreadsOf, welch } from '../support/timing.ts';

const calls = 20_000;

let service: TestService;
/** Of somebody who may look into one scope only. */
let key: string;
beforeAll(async () => {
  service = await startTestService();
  const as = () => service.as();
  await as().post('/roles').send({ key: 'looker', name: 'Looker' }).expect(201);
  await as().put('/roles/looker/permissions/rolecall_read_users').expect(200);
  key = await service.keyFor('watcher');
  await as().put('/users/watcher/roles/looker?scope=org/acme').expect(201);
  for (const id of ['elsewhere', 'gone-by-now']) {
    await as().post('/users').send({ id }).expect(201);
    await as().put(`/users/${id}/roles/loader?scope=org/rival`).expect(201);
  }
  await as().delete('/users/gone-by-now').expect(200);
});
afterAll(() => service.close());

const ids = { unknown: 'never-there', foreign: 'elsewhere', deleted: 'gone-by-now' };
type Id = keyof typeof ids;

async function ask(id: Id) {
  const headers = { authorization: `Bearer ${key}` };
  const answer = await service.app.inject({ url: `/users/${ids[id]}`, headers });
  const { requestId: _, ...said } = answer.json();
  return { status: answer.statusCode, said: JSON.stringify(said).replaceAll(ids[id], 'somebody') };
}

test('who is elsewhere or was deleted is answered as nobody is (N-16)', async () => {
  const unknown = await ask('unknown');
  expect(unknown.status).toBe(404);
  expect(await ask('foreign')).toEqual(unknown);
  expect(await ask('deleted')).toEqual(unknown);
});

async function spreadsOfAnswers(many: number) {
  const nanoseconds: Record<Id, number[]> = { unknown: [], foreign: [], deleted: [] };
  const names = Object.keys(ids) as Id[];
  for (let call = 0; call < many; call += 1) {
    const id = names[Math.floor(Math.random() * names.length)] as Id;
    const start = process.hrtime.bigint();
    await ask(id);
    nanoseconds[id].push(Number(process.hrtime.bigint() - start));
  }
  return spreadsOf(nanoseconds);
}

test.skipIf(!long)('and it takes as long (N-16)', { timeout: 600_000 }, async () => {
  await spreadsOfAnswers(3_000);
  const { unknown, foreign, deleted } = await spreadsOfAnswers(calls);
  const microseconds = ({ median }: { median: number }) => Math.round(median / 1_000);
  summarize('unknown, foreign and deleted ids (N-16)', {
    'median µs of unknown': microseconds(unknown),
    'of foreign': microseconds(foreign),
    'of deleted': microseconds(deleted),
    't of foreign': welch(unknown, foreign).toFixed(2),
    't of deleted': welch(unknown, deleted).toFixed(2),
  });
  for (const { median } of [foreign, deleted])
    expect(Math.abs(median / unknown.median - 1)).toBeLessThan(0.05);
});
