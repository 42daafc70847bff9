import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ceilingOf, type LoadStage, openLoadStage, people, poolSize } from '../support/load-stage.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { type Came, startLoad } from '../support/steady-load.ts';
import { done, grant, permission } from '../support/vault.ts';

/** How many users are replaced in a minute. */
const churn = people / 20;
const keys = 20;
const [soakMinutes, faultAtMinutes] = [20, 4];

let stage: LoadStage;
afterEach(() => stage.close());

interface Sample {
  readonly minutes: number;
  readonly rss: number;
  readonly heap: number;
  readonly handles: number;
  readonly files: number;
  readonly connections: number;
  readonly listeners: number;
  /** The longest delay of the event loop since the sample before, in milliseconds. */
  readonly loop: number;
}

async function sample({ metrics, sql }: LoadStage, begun: number): Promise<Sample> {
  const [metric, [row]] = await Promise.all([
    metrics(),
    sql<{ connections: number; listeners: number }[]>`
      select count(*)::int as connections,
        (count(*) filter (where application_name = 'rolecall listener'))::int as listeners
      from pg_stat_activity where application_name like 'rolecall%'`,
  ]);
  return {
    minutes: (performance.now() - begun) / 60_000,
    rss: metric('process_resident_memory_bytes') / 2 ** 20,
    heap: metric('nodejs_heap_size_used_bytes') / 2 ** 20,
    handles: metric('nodejs_active_handles_total'),
    files: metric('process_open_fds'),
    connections: row?.connections ?? 0,
    listeners: row?.listeners ?? 0,
    loop: metric('nodejs_eventloop_lag_max_seconds') * 1_000,
  };
}

/** Least squares, by the hour. */
function slopeOf(points: readonly (readonly [minutes: number, value: number])[]): number {
  const mean = (place: 0 | 1) => points.reduce((sum, point) => sum + point[place], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  return (60 * over) / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}

/** The least of each minute: what is left after the collector has been. */
function floors(samples: readonly Sample[], of: (one: Sample) => number): [number, number][] {
  const minutes = [...new Set(samples.map((one) => Math.floor(one.minutes)))];
  return minutes.map((minute) => {
    const within = samples.filter((one) => Math.floor(one.minutes) === minute).map(of);
    return [minute, Math.min(...within)];
  });
}

describe.runIf(long)('a process of the service under load for long', () => {
  test('takes no more memory, handles and connections as time goes on, through churn and faults (L-05, L-08)', {
    timeout: 3_600_000,
  }, async () => {
    stage = await openLoadStage();
    const { server, sql, writer, url, makeKey, questions, metrics } = stage;
    const made = await Promise.all(Array.from({ length: keys }, (_, number) => makeKey(`soak-${number}`)));
    const prepared = await questions(made.map((each) => each.key));
    const most = await ceilingOf(url, prepared, 32);
    const load = startLoad(url, prepared, { connections: 32, rate: most * 0.7 });
    const begun = performance.now();
    const samples: Sample[] = [];
    const all: Came[] = [];
    let faults = 0;
    while (performance.now() - begun < soakMinutes * 60_000) {
      const minute = (performance.now() - begun) / 60_000;
      // Who comes and goes, and a key that is used once.
      for (let count = 0; count < churn / 6; count += 1) {
        const id = `passing-${crypto.randomUUID()}`;
        await done(writer, 'POST', '/users', { id });
        await grant(writer, id);
        const asked = { user: id, permission };
        expect((await writer.request({ method: 'POST', url: '/authorize', payload: asked })).status).toBe(
          200,
        );
        await done(writer, 'DELETE', `/users/${id}`);
      }
      const passing = await makeKey('passing');
      const headers = { authorization: `Bearer ${passing.key}` };
      expect((await fetch(`${url}/me/permissions`, { headers })).status).toBe(200);
      await done(writer, 'DELETE', `/keys/${passing.id}`);
      if (minute > (faults + 1) * faultAtMinutes) {
        faults += 1;
        if (faults % 2 === 1)
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'rolecall listener'`;
        else {
          await server.kill();
          await server.start();
        }
        await pause(5_000);
      }
      samples.push(await sample(stage, begun));
      all.push(load.take());
      await pause(8_000);
    }
    await load.end();

    const statuses: Record<string, number> = {};
    for (const came of all)
      for (const [status, many] of Object.entries(came.statuses))
        statuses[status] = (statuses[status] ?? 0) + many;
    const wrong = all.reduce((sum, came) => sum + came.wrong, 0);
    // The collector takes its time to find out how much room it needs.
    const warm = samples.filter(({ minutes }) => minutes > soakMinutes / 3);
    const heap = floors(warm, (one) => one.heap);
    const range = (of: (one: Sample) => number) =>
      `${Math.min(...warm.map(of))} to ${Math.max(...warm.map(of))}`;
    const p99 = (part: readonly Came[]) => spread(part.flatMap((came) => came.latencies))['p99'] ?? '';
    summarize('L-05', {
      minutes: soakMinutes,
      'ceiling, answers per second': Math.round(most),
      'answers per second': Math.round((statuses[200] ?? 0) / (soakMinutes * 60)),
      statuses: JSON.stringify(statuses),
      wrong,
      faults,
      'resident MB, first and last': `${warm[0]?.rss.toFixed(0)} ${warm.at(-1)?.rss.toFixed(0)}`,
      'heap MB after collection, first and last': `${heap[0]?.[1].toFixed(1)} ${heap.at(-1)?.[1].toFixed(1)}`,
      'resident MB per hour': slopeOf(floors(warm, (one) => one.rss)).toFixed(1),
      'heap MB per hour': slopeOf(heap).toFixed(1),
      handles: range((one) => one.handles),
      files: range((one) => one.files),
      connections: range((one) => one.connections),
      listeners: range((one) => one.listeners),
      'loop delay ms, p99 and most': `${((await metrics())('nodejs_eventloop_lag_p99_seconds') * 1_000).toFixed(1)} ${Math.max(...warm.map(({ loop }) => loop)).toFixed(1)}`,
      'p99 ms, first and last third': `${p99(all.slice(0, all.length / 3))} ${p99(all.slice((all.length * 2) / 3))}`,
    });
    expect(wrong).toBe(0);
    expect(Object.keys(statuses).filter((status) => status !== '200' && status !== '503')).toEqual([]);
    // A leak of ten bytes with each answer would be more.
    const growth = (heap.at(-1)?.[1] ?? 0) - (heap[0]?.[1] ?? 0);
    expect(growth).toBeLessThan((10 * (statuses[200] ?? 0) * 2) / 3 / 2 ** 20);
    expect(warm.every(({ listeners }) => listeners <= 1)).toBe(true);
    expect(Math.max(...warm.map(({ handles }) => handles))).toBeLessThan(
      Math.min(...warm.map(({ handles }) => handles)) + poolSize + 8,
    );
  });
});
