import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ceilingOf, type LoadStage, openLoadStage, rateOf } from '../support/load-stage.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { type Came, startLoad } from '../support/steady-load.ts';
import { done } from '../support/vault.ts';

const overloadMinutes = 5;
const floodConnections = 3 * 64 - 8;

let stage: LoadStage;
afterEach(() => stage.close());

describe.runIf(long)('a process of the service under more load than usual', () => {
  test('answers questions beside writes nearly as soon as without (L-04)', { timeout: 600_000 }, async () => {
    stage = await openLoadStage();
    const { url, key, writer, makeKey, questions } = stage;
    const prepared = await questions([(await makeKey('reader')).key]);
    const rate = (await ceilingOf(url, prepared, 32)) * 0.6;
    const load = startLoad(url, prepared, { connections: 32, rate });
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    await done(writer, 'POST', '/users', { id: 'written' });
    for (const perSecond of [0, 1, 10, 100]) {
      await pause(3_000);
      load.take();
      const writes: number[] = [];
      const making: Promise<void>[] = [];
      const write = async (number: number) => {
        const begun = performance.now();
        const method = number % 2 === 0 ? 'PUT' : 'DELETE';
        const body = method === 'PUT' ? { body: '{}' } : {};
        const path = `${url}/users/written/roles/keeper?scope=place/${Math.floor(number / 2)}`;
        const { status } = await fetch(path, {
          method,
          ...body,
          headers: method === 'PUT' ? headers : { authorization: headers.authorization },
        });
        expect(status).toBeLessThan(300);
        writes.push(performance.now() - begun);
      };
      for (let second = 0; second < 20; second += 1)
        for (let count = 0; count < Math.max(1, perSecond); count += 1) {
          if (perSecond > 0) making.push(write(making.length));
          await pause(1_000 / Math.max(1, perSecond));
        }
      await Promise.all(making);
      const { statuses, wrong, latencies } = load.take();
      summarize(`L-04, ${perSecond} writes per second`, {
        'questions per second': Math.round(latencies.length / 20),
        'p99 ms': spread(latencies)['p99'] ?? '',
        writes: writes.length,
        'p99 ms of writes': spread(writes)['p99'] ?? '',
      });
      expect({ wrong, statuses: Object.keys(statuses) }).toEqual({ wrong: 0, statuses: ['200'] });
    }
    await load.end();
  });

  test.for([
    ['all of which it takes on', 2_000],
    ['two thirds of which it refuses', 64],
  ] as const)(
    'asked three times as much at once, %s, goes on answering, and is well again at once (L-06)',
    {
      timeout: 1_800_000,
    },
    async ([how, bound]) => {
      stage = await openLoadStage({ ROLECALL_MAX_IN_FLIGHT: String(bound) });
      const { url, makeKey, questions } = stage;
      const [greedy, modest] = [await makeKey('greedy'), await makeKey('modest')];
      const [byGreedy, byModest] = [await questions([greedy.key]), await questions([modest.key])];
      const most = await ceilingOf(url, [...byGreedy, ...byModest], 32);

      // One client asks for nearly all of it and comes back at once whatever it is told; another asks as it always does.
      const calm = startLoad(url, byModest, { connections: 8, rate: most / 10 });
      await pause(10_000);
      const before = calm.take();
      const flood = startLoad(url, byGreedy, { connections: floodConnections });
      await pause(overloadMinutes * 60_000);
      const [flooded, during] = [flood.take(), calm.take()];
      const over = performance.now();
      await flood.end();
      for (;;) {
        calm.take();
        await pause(250);
        const came = calm.take();
        if (Object.keys(came.statuses).every((status) => status === '200')) break;
      }
      const recovery = performance.now() - over;
      await pause(10_000);
      const after = calm.take();
      await calm.end();
      const refused = (came: Came) => (came.statuses[503] ?? 0) + (came.statuses[429] ?? 0);
      const goodput = rateOf(flooded) + rateOf(during);
      const p99 = ({ latencies }: Came) => spread(latencies)['p99'] ?? '';
      summarize(`L-06, ${how}`, {
        'ceiling, answers per second': Math.round(most),
        'answered in overload': Math.round(goodput),
        share: (goodput / most).toFixed(2),
        'refused per second': Math.round(refused(flooded) / flooded.seconds),
        'statuses of the other client': JSON.stringify(during.statuses),
        'p99 ms of the other client before, during, after': `${p99(before)} ${p99(during)} ${p99(after)}`,
        'recovery ms': Math.round(recovery),
      });
      for (const came of [before, flooded, during, after]) expect(came.wrong).toBe(0);
      for (const came of [flooded, during])
        expect(
          Object.keys(came.statuses).filter((status) => !['200', '429', '503'].includes(status)),
        ).toEqual([]);
      expect(Object.keys(during.statuses)).toEqual(['200']);
      expect(refused(flooded) > 0).toBe(bound === 64);
      expect(goodput).toBeGreaterThan(0);
      // 200 in a second at once, and whoever is refused beyond that waits half a second for it.
      expect(refused(flooded) / flooded.seconds).toBeLessThan(250 + 2 * floodConnections);
    },
  );
});
