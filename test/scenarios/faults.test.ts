import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts';
import { type Watched, watch } from '../support/fault-watch.ts';
import { long, summarize } from '../support/long-run.ts';
import { buildOf, makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { type OwnServer, startOwnServer } from '../support/servers.ts';
import { type Watch, watchChanges } from '../support/shadow-log.ts';
import { ask, buildVault, grant } from '../support/vault.ts';

const requestTimeoutMs = 1_000;
const times = long ? 100 : 1;

let server: OwnServer;
let journal: Watch;
let key: string;
let proxies: readonly [ChaosProxy, ChaosProxy];
let replicas: readonly [Replica, Replica];

beforeAll(async () => {
  server = await startOwnServer({ synchronous_commit: 'on' });
  journal = await watchChanges(server.url);
  key = await makeRoot(server.url);
  proxies = [await startChaosProxy(server.url), await startChaosProxy(server.url)];
  const options = { listens: true, requestTimeoutMs };
  replicas = [
    await startReplica(proxies[0].url, key, options),
    await startReplica(proxies[1].url, key, options),
  ];
  await buildVault(replicas[0], ['ann', 'bob']);
  await grant(replicas[0], 'ann');
});
afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.close()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
  try {
    await journal.requireComplete();
  } finally {
    await server.remove();
  }
});

/** What holds under every fault. */
function check(name: string, seen: Watched): void {
  const { answered, unavailable, wrong, writes, lost, longest, recovery } = seen;
  summarize(name, {
    answered,
    unavailable,
    wrong,
    writes,
    lost,
    'longest request ms': Math.round(longest),
    'recovery ms': Math.round(recovery),
  });
  expect(seen).toMatchObject({ wrong: 0, lost: 0, faulty: {} });
  expect(answered).toBeGreaterThan(0);
  // Its own deadline and what a busy machine adds.
  expect(longest).toBeLessThan(requestTimeoutMs * 3);
}

/** Watches the fault again and again, and returns all that was seen together. */
async function checkAgainAndAgain(name: string, fault: () => Promise<void>): Promise<Watched> {
  const all: Watched[] = [];
  for (let round = 0; round < times; round += 1) {
    const seen = await watch(replicas, fault);
    expect(seen.answered).toBeGreaterThan(0);
    all.push(seen);
  }
  const together = all.reduce(added);
  check(`${name}, ${times} times`, together);
  return together;
}

function added(one: Watched, other: Watched): Watched {
  const faulty = { ...one.faulty };
  for (const [status, many] of Object.entries(other.faulty))
    faulty[Number(status)] = (faulty[Number(status)] ?? 0) + many;
  return {
    answered: one.answered + other.answered,
    unavailable: one.unavailable + other.unavailable,
    wrong: one.wrong + other.wrong,
    faulty,
    writes: one.writes + other.writes,
    lost: one.lost + other.lost,
    longest: Math.max(one.longest, other.longest),
    recovery: Math.max(one.recovery, other.recovery),
  };
}

/** Proves that what is watched is not quiet by itself: the fault was felt. */
const felt = (seen: Watched) => expect(seen.unavailable).toBeGreaterThan(0);

const holdMs = 400;

describe('no answer is wrong, no write is lost, nobody waits past the deadline', {
  timeout: 1_200_000,
}, () => {
  test('when a backend of the server is killed and it recovers from the crash (F-02)', async () => {
    await checkAgainAndAgain('F-02', async () => {
      const sql = postgres(server.url, { max: 1, onnotice: () => {} });
      const [row] = await sql<{ pid: number }[]>`
        select pid from pg_stat_activity where application_name = 'rolecall' limit 1`;
      await sql.end();
      if (row) process.kill(row.pid, 'SIGKILL');
    });
  });

  test('when the server is killed and starts again (F-03)', async () => {
    const seen = await checkAgainAndAgain('F-03', async () => {
      await server.kill();
      await server.start();
    });
    felt(seen);
  });

  test('when the server stops and starts again (F-04)', async () => {
    await checkAgainAndAgain('F-04', async () => {
      await server.stop();
      await server.start();
    });
  });

  test('when the server is frozen (F-05)', async () => {
    const seen = await watch(replicas, async () => {
      const thaw = await server.freeze();
      await pause(long ? 60_000 : 1_200);
      const [health] = await Promise.all([
        replicas[0].request({ method: 'GET', url: '/livez' }),
        replicas[0].request({ method: 'GET', url: '/readyz' }).then(({ status }) => expect(status).toBe(503)),
      ]);
      expect(health.status).toBe(200);
      thaw();
    });
    check('F-05', seen);
    felt(seen);
  });

  test('when others take every connection that the server has (F-06)', async () => {
    const seen = await watch(replicas, async () => {
      const hog = postgres(server.url, { max: 120, onnotice: () => {} });
      const held = Array.from({ length: 120 }, () => hog`select pg_sleep(${holdMs / 1_000})`.catch(() => {}));
      proxies[0].reset();
      await Promise.all(held);
      await hog.end({ timeout: 0 });
    });
    check('F-06', seen);
  });

  test.for(long ? [5, 50, 500, 5_000] : [50, 5_000])(
    'when the server is %i ms away (F-07)',
    async (milliseconds) => {
      const seen = await watch(replicas, async () => {
        for (const proxy of proxies) proxy.delay(milliseconds);
        await pause(holdMs * 2);
        for (const proxy of proxies) proxy.heal();
      });
      check(`F-07, ${milliseconds} ms`, seen);
    },
  );

  const ways: Readonly<Record<string, (proxy: ChaosProxy) => void>> = {
    'nothing passes': (proxy) => proxy.blackhole(),
    'nothing reaches the server': (proxy) => proxy.blackhole({ of: 'client' }),
    'nothing comes back': (proxy) => proxy.blackhole({ of: 'server' }),
    'connections are refused': (proxy) => proxy.refuse(),
    'connections are reset': (proxy) => proxy.reset(),
  };
  const counts = long ? [1, 2] : [2];
  const cases = Object.keys(ways).flatMap((way) => counts.map((count) => [way, count] as const));
  test.for(cases)('when %s, for %i of two replicas (F-11)', async ([way, count]) => {
    const seen = await watch(replicas, async () => {
      for (const proxy of proxies.slice(0, count)) ways[way]?.(proxy);
      await pause(long ? 10_000 : holdMs * 2);
      for (const proxy of proxies) proxy.heal();
    });
    check(`F-11, ${way}, ${count} of 2`, seen);
    if (way !== 'connections are reset') felt(seen);
  });

  test('when the network comes and goes (F-11)', async () => {
    const seen = await watch(replicas, async () => {
      for (let turn = 0; turn < (long ? 50 : 5); turn += 1) {
        for (const [index, way] of Object.values(ways).entries())
          if (index === turn % 5) for (const proxy of proxies) way(proxy);
        await pause(100);
        for (const proxy of proxies) proxy.heal();
        await pause(100);
      }
    });
    check('F-11, flapping', seen);
  });

  test('when only the listeners are cut off (F-11)', async () => {
    const seen = await watch(replicas, async () => {
      for (const proxy of proxies) proxy.blackhole({ application: 'rolecall listener' });
      await pause(holdMs);
    });
    check('F-11, listeners only', seen);
    expect(seen.unavailable).toBe(0);
  });

  test('when the disk is full: the change and its record are both not made, and questions go on (F-08)', async () => {
    const sql = postgres(server.url, { max: 1, onnotice: () => {} });
    const users = async () => (await sql`select count(*)::int as n from rolecall.users`)[0]?.['n'] as number;
    await sql`
      create function pg_temp_full() returns trigger language plpgsql as
      'begin raise exception ''no space left on device'' using errcode = ''53100''; end'`;
    let made = 0;
    const seen = await watch(replicas, async () => {
      await sql`create trigger full_disk before insert on rolecall.journal execute function pg_temp_full()`;
      const before = await users();
      await pause(holdMs);
      made = (await users()) - before;
      await sql`drop trigger full_disk on rolecall.journal`;
    });
    await sql`drop function pg_temp_full()`;
    await sql.end();
    check('F-08, no room for the journal', seen);
    felt(seen);
    expect(made).toBe(0);
  });
});

test('somebody waits past the deadline in a build whose deadlines end nothing', async () => {
  const breakage: Breakage = {
    file: 'storage/deadline.ts',
    replace: 'const timer = setTimeout(() => reject(late()), Math.max(0, deadline - performance.now()));',
    by: 'const timer = setTimeout(() => void [late, reject], Math.max(0, deadline - performance.now()));',
  };
  await withBrokenBuild(breakage, async (load) => {
    const options = { build: await buildOf(load), requestTimeoutMs };
    const replica = await startReplica(proxies[0].url, key, options);
    await ask(replica, { user: 'ann' });
    proxies[0].blackhole();
    const asking = ask(replica, { user: 'ann' }).then(() => 'answered');
    const waited = pause(requestTimeoutMs * 3).then(() => 'still waiting');
    expect(await Promise.race([asking, waited])).toBe('still waiting');
    proxies[0].heal();
    proxies[0].reset();
    await asking;
    await replica.close();
  });
});
