import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts';
import { type LoadStage, openLoadStage } from '../support/load-stage.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { openPrograms, type Programs } from '../support/programs.ts';
import { type Prepared, startLoad } from '../support/steady-load.ts';

interface Mode {
  readonly freshness: 'latest' | 'lease';
  readonly leaseMs: number;
  readonly seconds: number;
}

const latest: Mode = { freshness: 'latest', leaseMs: 1_000, seconds: long ? 20 : 2 };
const lease: Mode = { freshness: 'lease', leaseMs: 5_000, seconds: latest.seconds };
const modes = long
  ? [latest, { ...lease, leaseMs: 1_000 }, lease, { ...lease, leaseMs: 60_000, seconds: 65 }]
  : [latest, lease];
const delays = long ? [5, 50, 500, 5_000] : [50, 500, 5_000];
const jitter = 0.2;
const load = { connections: 32, rate: 400 };

let proxy: ChaosProxy;
let stage: LoadStage;

async function open(release?: string): Promise<void> {
  const through = async (url: string) => {
    proxy = await startChaosProxy(url);
    return proxy.url;
  };
  stage = await openLoadStage({}, { through, release });
}
afterEach(async () => {
  await stage.close();
  await proxy.close();
});

/** Questions about some users, all of whom are in memory when this returns. */
async function cachedQuestions({ freshness, leaseMs }: Mode): Promise<readonly Prepared[]> {
  const url = '/settings/lease_ms';
  const { headers } = await stage.writer.request({ method: 'GET', url });
  const asked = { headers: { 'if-match': String(headers['etag']) }, payload: { value: leaseMs } };
  const { status } = await stage.writer.request({ method: 'PATCH', url, ...asked });
  expect(status).toBe(200);
  const { key } = await stage.makeKey(`${freshness} ${leaseMs}`);
  const prepared = (await stage.questions([key], freshness)).slice(0, 200);
  const warming = startLoad(stage.url, prepared, { connections: 1 });
  for (let many = 0; many < prepared.length; many += warming.take().latencies.length) await pause(50);
  await warming.end();
  return prepared;
}

/** What comes of questions while the database is so far away, and of how many reads of the newest revision. */
async function askFrom(
  milliseconds: number,
  { freshness, leaseMs, seconds }: Mode,
  prepared: readonly Prepared[],
) {
  const reads = 'rolecall_questions_per_head_read_count';
  const before = (await stage.metrics())(reads);
  const begun = performance.now();
  proxy.delay(milliseconds, milliseconds * jitter);
  const asking = startLoad(stage.url, prepared, load);
  await pause(seconds * 1_000);
  await asking.end();
  const came = asking.take();
  proxy.heal();
  let metric = await stage.metrics();
  while (Number.isNaN(metric(reads))) metric = await stage.metrics();
  const elapsed = performance.now() - begun;
  // One read after the other, each as long as the way; or two whenever a lease has ended, the second for those who came
  // during the first. And those of the metrics.
  const mostReads = elapsed / (freshness === 'latest' ? milliseconds * (1 - jitter) : leaseMs / 2) + 4;
  return { came, reads: metric(reads) - before, mostReads, metric };
}

const isWell = async (prepared: readonly Prepared[]) => {
  const asking = startLoad(stage.url, prepared, load);
  for (let statuses = ['']; statuses.join() !== '200'; statuses = Object.keys(asking.take().statuses))
    await pause(100);
  await asking.end();
};

describe('a process of the service whose database is far away', { timeout: 1_200_000 }, () => {
  beforeEach(() => open());

  test.for(modes)(
    'answers rightly or not at all, asked as $freshness with leases of $leaseMs ms (F-07)',
    async (mode) => {
      const prepared = await cachedQuestions(mode);
      let usual = 0;
      for (const milliseconds of [0, ...delays]) {
        const { came, reads, mostReads, metric } = await askFrom(milliseconds, mode, prepared);
        const { p50 = '', p99 = '', max = '' } = spread(came.latencies);
        usual ||= Number(p99);
        summarize(`F-07, ${mode.freshness} of ${mode.leaseMs} ms, ${milliseconds} ms away`, {
          'answers a second': Math.round(came.latencies.length / came.seconds),
          statuses: JSON.stringify(came.statuses),
          'p50 ms': p50,
          'p99 ms': p99,
          'max ms': max,
          'p99 to usual': (Number(p99) / usual).toFixed(2),
          'reads of the head': reads,
          'loop p99 ms': (metric('nodejs_eventloop_lag_p99_seconds') * 1_000).toFixed(1),
          'loop max ms': (metric('nodejs_eventloop_lag_max_seconds') * 1_000).toFixed(1),
        });
        expect(came.wrong).toBe(0);
        expect(Object.keys(came.statuses).filter((status) => !['200', '503'].includes(status))).toEqual([]);
        // A lease may last longer than the database is away.
        if (milliseconds < 5_000) expect(came.latencies.length).toBeGreaterThan(0);
        else if (mode.freshness === 'latest') expect(came.statuses[503]).toBeGreaterThan(0);
        if (milliseconds > 0 && milliseconds < 5_000) expect(reads).toBeLessThanOrEqual(mostReads);
        await isWell(prepared);
      }
    },
  );
});

const freshness = 'services/decisions/freshness.ts';
describe('a build is found out', { timeout: 300_000 }, () => {
  async function broken(breakage: Parameters<Programs['broken']>[0], mode: Mode, milliseconds: number) {
    const programs = await openPrograms();
    try {
      await open(await programs.broken(breakage));
      return await askFrom(milliseconds, mode, await cachedQuestions(mode));
    } finally {
      await programs.remove();
    }
  }

  test('in which each question reads the newest revision for itself', async () => {
    const alone = {
      file: freshness,
      replace: 'return reads.ask(since);',
      by: 'noteSharers(1);\n      return confirm();',
    };
    const { reads, mostReads } = await broken(alone, latest, 50);
    expect(reads).toBeGreaterThan(mostReads);
  });

  test('in which a lease spares nobody the read', async () => {
    const never = { file: freshness, replace: 'performance.now() - confirmedAt <', by: '0 >' };
    const { reads, mostReads } = await broken(never, lease, 50);
    expect(reads).toBeGreaterThan(mostReads);
  });

  test('that calls a database that is too far away a failure of its own', async () => {
    const failing = {
      file: freshness,
      replace: "unavailable('the newest revision was not known in time')",
      by: "new Error('late')",
    };
    const { came } = await broken(failing, latest, 5_000);
    expect(came.statuses[500]).toBeGreaterThan(0);
  });
});
