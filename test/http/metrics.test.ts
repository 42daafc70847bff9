import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function metrics(): Promise<ReadonlyMap<string, number>> {
  const { text, headers } = await service.as().get('/metrics').expect(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

const decisions = (freshness: string, outcome: string) =>
  `rolecall_decisions_total{freshness="${freshness}",outcome="${outcome}"}`;

test('count decisions by outcome and freshness, and how they were come by', async () => {
  const before = await metrics();
  const ask = (body: object) => service.as().post('/authorize').send(body).expect(200);
  await ask({ permission: 'rolecall.check' });
  await ask({ permission: 'rolecall.check', freshness: 'lease' });
  await ask({ permission: 'orders.fly' });
  await ask({ user: 'nobody', permission: 'orders.load_order' });
  await service.as().post('/users').send({ id: 'nora' }).expect(201);
  await ask({ user: 'nora', permission: 'orders.load_order' });
  const checks = [{ permission: 'rolecall.check' }, { permission: 'orders.load_order' }];
  await service.as().post('/authorize/batch').send({ checks }).expect(200);
  const after = await metrics();
  const more = (name: string) => (after.get(name) ?? Number.NaN) - (before.get(name) ?? Number.NaN);

  expect(more(decisions('latest', 'allowed'))).toBe(3);
  expect(more(decisions('lease', 'allowed'))).toBe(1);
  expect(more(decisions('latest', 'unknown_permission'))).toBe(1);
  expect(more(decisions('latest', 'unknown_user'))).toBe(1);
  expect(more(decisions('latest', 'not_granted'))).toBe(1);
  expect(more('rolecall_questions_per_batch_count')).toBe(1);
  expect(more('rolecall_questions_per_batch_sum')).toBe(2);
  expect(more('rolecall_user_cache_lookups_total{result="hit"}')).toBeGreaterThanOrEqual(5);
  expect(more('rolecall_user_cache_lookups_total{result="miss"}')).toBeGreaterThanOrEqual(1);
  expect(more('rolecall_questions_per_head_read_count')).toBeGreaterThanOrEqual(5);
  expect(after.get('rolecall_revision')).toBeGreaterThan(0);
  expect(after.get('rolecall_confirmed_seconds')).toBeLessThan(60);
  for (const name of ['rolecall_pool_busy', 'rolecall_pool_idle', 'nodejs_eventloop_lag_p99_seconds'])
    expect(after.has(name), name).toBe(true);
});
