import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasBalancer, startBalancer } from '../support/balancer.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, start } from '../support/program.ts';
import { openPrograms, type Programs } from '../support/programs.ts';
import { makeRoot } from '../support/replicas.ts';
import { furtherSteps, later, openWorkshop } from '../support/steps.ts';

let programs: Programs;
/** Folders of the compiled program: as it ships, and as a release with more steps. */
let older: string;
let newer: string;
beforeAll(async () => {
  const workshop = await openWorkshop(furtherSteps);
  await workshop.describe();
  programs = await openPrograms();
  [older, newer] = [await programs.withSteps({}), await programs.withFolder(workshop.folder)];
  await workshop.remove();
});
afterAll(() => programs.remove());

let database: TestDatabase;
let key: string;
let running: Program[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
  key = await makeRoot(database.url);
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  running = [];
  await database.drop();
});

interface Instance {
  readonly url: string;
  stop(): Promise<void>;
}

async function serve(release: string): Promise<Instance> {
  const program = start(['serve'], environmentFor(database.url, { ROLECALL_POOL_SIZE: '3' }), {
    cwd: release,
  });
  running.push(program);
  const [, url] = await program.prints(/"msg":"listening on ([^"]+)"/);
  return {
    url: url as string,
    async stop() {
      program.child.kill('SIGTERM');
      expect(await program.ended()).toMatchObject({ code: 0 });
    },
  };
}

const migrate = (release: string, ...words: string[]) =>
  start(['migrate', ...words], environmentFor(database.url), { cwd: release }).ended();

/** What came of asking and writing all the time. */
interface Load {
  answered: number;
  written: number;
  readonly failed: string[];
  /** Milliseconds of each question since it was last emptied. */
  latencies: number[];
}

function load(url: string, askers: number): Load & { end(): Promise<void> } {
  const seen: Load = { answered: 0, written: 0, failed: [], latencies: [] };
  let isOn = true;
  const send = async (path: string, body: object, due: number) => {
    const begun = performance.now();
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    try {
      const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      const text = await answer.text();
      if (answer.status !== due) seen.failed.push(`${path}: ${answer.status} ${text}`);
    } catch (error) {
      seen.failed.push(`${path}: ${(error as Error).cause ?? error}`);
    }
    return performance.now() - begun;
  };
  const question = { user: 'root', permission: 'rolecall_check' };
  const asker = async () => {
    while (isOn) {
      seen.latencies.push(await send('/authorize', question, 200));
      seen.answered += 1;
      await sleep(3);
    }
  };
  const writer = async () => {
    while (isOn) {
      await send('/users', { id: `made-${crypto.randomUUID()}` }, 201);
      seen.written += 1;
      await sleep(10);
    }
  };
  const ended = Promise.all([...Array.from({ length: askers }, asker), writer()]);
  return Object.assign(seen, {
    async end() {
      isOn = false;
      await ended;
    },
  });
}

describe.skipIf(!hasBalancer)("behind a balancer (needs Debian's haproxy)", () => {
  test('one release replaces the other and goes back again without a failed request (F-18)', async () => {
    const balancer = await startBalancer();
    const bring = async (release: string) => {
      const instance = await serve(release);
      await balancer.add(instance.url);
      await balancer.untilIt(instance.url, 'UP');
      return instance;
    };
    const replace = async (instances: Instance[], release: string) => {
      const next: Instance[] = [];
      for (const instance of instances) {
        next.push(await bring(release));
        await balancer.drain(instance.url);
        await instance.stop();
      }
      return next;
    };
    let instances = [await bring(older), await bring(older), await bring(older)];
    const seen = load(balancer.url, 4);

    // A newer release on the older schema says what it waits for, and is given no requests.
    const early = await serve(newer);
    await balancer.add(early.url);
    await balancer.untilIt(early.url, 'DOWN');
    expect(await (await fetch(`${early.url}/readyz`)).json()).toMatchObject({
      ready: false,
      problems: [
        {
          problem: expect.stringContaining(`pending migrations: ${later(1)}_`),
          command: 'rolecall migrate up',
        },
      ],
    });
    await balancer.drain(early.url);
    await early.stop();

    expect(await migrate(newer, 'up')).toMatchObject({ code: 0 });
    for (const { url } of instances) {
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      expect(await balancer.stateOf(url)).toBe('UP');
    }
    // The older release's own command leaves a newer database alone.
    expect(await migrate(older, 'up')).toMatchObject({ code: 2, stderr: expect.stringContaining('newer') });

    instances = await replace(instances, newer);
    const half = seen.answered;
    instances = await replace(instances, older);
    expect(await migrate(newer, 'down', '1')).toMatchObject({ code: 0 });
    expect(await migrate(newer, 'down', '--to', later(0))).toMatchObject({ code: 0 });
    for (const { url } of instances) expect((await fetch(`${url}/readyz`)).status).toBe(200);
    await sleep(200);
    await seen.end();
    await Promise.all(instances.map(({ stop }) => stop()));
    await balancer.stop();
    const { answered, written, failed } = seen;
    summarize('F-18', { answered, written, failed: failed.length, instances: 10 });
    expect(failed).toEqual([]);
    expect(half).toBeGreaterThan(100);
    expect(answered).toBeGreaterThan(half);
    expect(written).toBeGreaterThan(10);
  }, 600_000);
});

test('a migration that waits for a long reader refuses no question meanwhile (F-17)', async () => {
  const instance = await serve(older);
  const reader = postgres(database.url, { max: 1, onnotice: () => {} });
  const seen = load(instance.url, 2);
  const phase = async (work: () => Promise<unknown>) => {
    seen.latencies = [];
    await work();
    return seen.latencies;
  };
  const ms = long ? 20_000 : 1_500;
  await sleep(500);
  const before = await phase(() => sleep(ms));
  await reader`begin`;
  await reader`select count(*) from rolecall.users`;
  const migrating = start(['migrate', 'up'], environmentFor(database.url), { cwd: newer });
  await migrating.prints(/waiting for tables that are in use/);
  const meanwhile = await phase(() => sleep(ms));
  expect(migrating.child.exitCode).toBe(null);
  await reader`rollback`;
  const finishing = await phase(() => migrating.ended().then(({ code }) => expect(code).toBe(0)));
  const after = await phase(() => sleep(ms));
  await seen.end();
  await reader.end();
  await instance.stop();
  const p99 = (latencies: readonly number[]) => Number(spread(latencies)['p99']);
  summarize('F-17, p99 of /authorize', {
    'before, ms': p99(before),
    'waiting, as a ratio of it': (p99(meanwhile) / p99(before)).toFixed(2),
    'migrating, as a ratio of it': (p99(finishing) / p99(before)).toFixed(2),
    'after, as a ratio of it': (p99(after) / p99(before)).toFixed(2),
    'longest, ms': Math.max(...before, ...meanwhile, ...finishing, ...after).toFixed(0),
    failed: seen.failed.length,
  });
  expect(seen.failed).toEqual([]);
  for (const latencies of [before, meanwhile, after]) expect(latencies.length).toBeGreaterThan(10);
}, 600_000);
