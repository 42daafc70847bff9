import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness } from '../support/broken-freshness.ts';
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts';
import { type Watched, watch } from '../support/fault-watch.ts';
import { long, summarize, untilFound } from '../support/long-run.ts';
import { buildOf, makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { type OwnServer, startOwnServer } from '../support/servers.ts';
import { type Watch, watchChanges } from '../support/shadow-log.ts';
import { ask, buildVault, grant, outcome } from '../support/vault.ts';

const requestTimeoutMs = 1_000;
const leaseMs = 3_000;
const options = { listens: true, requestTimeoutMs, variables: { ROLECALL_LEASE_MS: String(leaseMs) } };
const times = long ? 100 : 1;

let server: OwnServer;
let journal: Watch;
let key: string;
let proxies: readonly [ChaosProxy, ChaosProxy];
type Replicas = readonly [Replica, Replica];
let replicas: Replicas;

beforeAll(async () => {
  server = await startOwnServer({ synchronous_commit: 'on' });
  journal = await watchChanges(server.url);
  key = await makeRoot(server.url);
  proxies = [await startChaosProxy(server.url), await startChaosProxy(server.url)];
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

/** Its own deadline and what a busy machine adds. */
const longestMs = requestTimeoutMs * 3;

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
  expect(longest).toBeLessThan(longestMs);
}

/** Watches the fault again and again, and returns all that was seen together. */
async function checkAgainAndAgain(fault: keyof typeof faults): Promise<Watched> {
  const all: Watched[] = [];
  for (let round = 0; round < times; round += 1) {
    const seen = await watch(replicas, () => faults[fault]());
    expect(seen.answered).toBeGreaterThan(0);
    all.push(seen);
  }
  const together = all.reduce(added);
  check(`${fault}, ${times} times`, together);
  return together;
}

function added(one: Watched, other: Watched): Watched {
  const faulty = { ...one.faulty };
  for (const [status, many] of Object.entries(other.faulty))
    faulty[Number(status)] = (faulty[Number(status)] ?? 0) + many;
  return {
    answered: one.answered + other.answered,
    unavailable: one.unavailable + other.unavailable,
    unanswered: one.unanswered + other.unanswered,
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

/** What fails, for as long as it runs. */
const faults = {
  async 'F-02'() {
    const sql = postgres(server.url, { max: 1, onnotice: () => {} });
    const [row] = await sql<{ pid: number }[]>`
      select pid from pg_stat_activity where application_name = 'rolecall' limit 1`;
    await sql.end();
    if (row) process.kill(row.pid, 'SIGKILL');
  },
  async 'F-03'() {
    await server.kill();
    await server.start();
  },
  async 'F-04'() {
    await server.stop();
    await server.start();
  },
  async 'F-06'() {
    const hog = postgres(server.url, { max: 120, onnotice: () => {} });
    const held = Array.from({ length: 120 }, () => hog`select pg_sleep(${holdMs / 1_000})`.catch(() => {}));
    proxies[0].reset();
    await Promise.all(held);
    await hog.end({ timeout: 0 });
  },
};

async function beFarAway(milliseconds: number) {
  for (const proxy of proxies) proxy.delay(milliseconds, milliseconds / 5);
  await pause(holdMs * 2);
  for (const proxy of proxies) proxy.heal();
}

/** What the first replica says while the server is frozen: at once, and when its lease has ended. */
async function frozen([first]: Replicas) {
  await outcome(first, { user: 'ann' });
  const thaw = await server.freeze();
  const atFirst = await outcome(first, { user: 'ann', freshness: 'lease' });
  await pause(long ? 60_000 : leaseMs * 1.2);
  const statusOf = async (url: string) => (await first.request({ method: 'GET', url })).status;
  const [live, ready, latest, leased] = await Promise.all([
    statusOf('/livez'),
    statusOf('/readyz'),
    outcome(first, { user: 'ann', freshness: 'latest' }),
    outcome(first, { user: 'ann', freshness: 'lease' }),
  ]);
  thaw();
  return { atFirst, live, ready, latest, leased };
}

const whenFrozen = { atFirst: 'allowed', live: 200, ready: 503, latest: 503, leased: 503 };

describe('no answer is wrong, no write is lost, nobody waits past the deadline', {
  timeout: 1_200_000,
}, () => {
  test('when a backend of the server is killed and it recovers from the crash (F-02)', async () => {
    await checkAgainAndAgain('F-02');
  });

  test('when the server is killed and starts again (F-03)', async () => {
    felt(await checkAgainAndAgain('F-03'));
  });

  test('when the server stops and starts again (F-04)', async () => {
    await checkAgainAndAgain('F-04');
  });

  test('when the server is frozen (F-05)', async () => {
    let said: unknown;
    const seen = await watch(replicas, async () => {
      said = await frozen(replicas);
    });
    check('F-05', seen);
    felt(seen);
    expect(said).toEqual(whenFrozen);
  });

  test('when others take every connection that the server has (F-06)', async () => {
    check('F-06', await watch(replicas, faults['F-06']));
  });

  test.for(long ? [5, 50, 500, 5_000] : [50, 5_000])(
    'when the server is %i ms away (F-07)',
    async (milliseconds) => {
      check(`F-07, ${milliseconds} ms`, await watch(replicas, () => beFarAway(milliseconds)));
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
});

/** Every failure of the connection or the server's willingness is one of these. */
const unavailableStates =
  '|57P0.|57014|42501|53...|55P03|25P0[234]|25006|28...|3D000|58...|XX00[12]|CONNECTION_.*|CONNECT_TIMEOUT|E(?!RR_)[A-Z_]+)$/';
const without = (state: string): Breakage => ({
  file: 'storage/errors.ts',
  replace: unavailableStates,
  by: unavailableStates.replace(state, ''),
});
const unconfirmed = 'await freshness.latest(asking.since);\n      if (asking.atLeast';
const whenUnconfirmed = (then: string): Breakage => ({
  file: 'services/decisions/views.ts',
  replace: unconfirmed,
  by: unconfirmed.replace('latest(asking.since)', `latest(asking.since).catch(() => { ${then} })`),
});
const deadlinesEndNothing: Breakage = {
  file: 'storage/deadline.ts',
  replace: 'const timer = setTimeout(() => reject(late()), Math.max(0, deadline - performance.now()));',
  by: 'const timer = setTimeout(() => void [late, reject], Math.max(0, deadline - performance.now()));',
};

describe('a build is found out', { timeout: 600_000 }, () => {
  /** What comes of work with two replicas of a broken build. */
  function broken<T>(breakage: Breakage, work: (replicas: Replicas) => Promise<T>): Promise<T> {
    return withBrokenBuild(breakage, async (load) => {
      const build = await buildOf(load);
      const starting = proxies.map(({ url }) => startReplica(url, key, { ...options, build }));
      const started = (await Promise.all(starting)) as unknown as Replicas;
      try {
        for (const replica of started) while ((await outcome(replica, { user: 'ann' })) !== 'allowed');
        return await work(started);
      } finally {
        await Promise.all(started.map((replica) => replica.close()));
      }
    });
  }
  type Seen = Awaited<ReturnType<typeof watch>>;
  /** Whether the fault shows it: once or again, for how much of it is met depends on the machine. */
  const shows = (
    fault: keyof typeof faults,
    breakage: Breakage,
    finding: (seen: Seen) => number | undefined,
  ) =>
    broken(breakage, (started) =>
      untilFound(async (times) => {
        for (let time = 0; time < times; time += 1)
          if (finding(await watch(started, () => faults[fault]()))) return true;
        return false;
      }),
    );

  test('that calls a server that recovers a failure of its own (F-02)', async () => {
    expect(await shows('F-02', without('57P0.|'), ({ faulty }) => faulty[500])).toBe(true);
  });

  test('that calls a server that is not there a failure of its own (F-03)', async () => {
    expect(await shows('F-03', without('|E(?!RR_)[A-Z_]+'), ({ faulty }) => faulty[500])).toBe(true);
  });

  test('that denies what it cannot find out (F-04)', async () => {
    const asked = 'accessCheck.authorize(asking, question)';
    const denied = "{ answer: { permission, decision: { allowed: false, reason: 'not_granted' } as const } }";
    const denying = {
      file: 'http/routes/authorize.ts',
      replace: asked,
      by: `${asked}.catch(() => ({ revision: '', ...${denied} }))`,
    };
    expect(await shows('F-04', denying, ({ wrong }) => wrong)).toBe(true);
  });

  test('that takes a credential for wrong that it cannot look at (F-04)', async () => {
    const refusing = whenUnconfirmed('throw notValid(asking.caller);');
    expect(await shows('F-04', refusing, ({ faulty }) => faulty[401])).toBe(true);
  });

  test('that answers from memory what is asked for as the newest (F-05)', async () => {
    const said = await broken(whenUnconfirmed(''), frozen);
    expect(said).toEqual({ ...whenFrozen, latest: 'allowed', leased: 'allowed' });
  });

  test('that answers from memory beyond its lease (F-05)', async () => {
    const said = await broken(brokenFreshness['a lease has no end'], frozen);
    expect(said).toEqual({ ...whenFrozen, leased: 'allowed' });
  });

  test('that calls a crowded server a failure of its own (F-06)', async () => {
    expect(await shows('F-06', without('53...|'), ({ faulty }) => faulty[500])).toBe(true);
  });

  test('in which deadlines end nothing (F-07)', async () => {
    const seen = await broken(deadlinesEndNothing, (started) => watch(started, () => beFarAway(5_000)));
    expect(seen.longest).toBeGreaterThan(longestMs);
  });

  test('in which deadlines end nothing, where nothing passes (F-11)', async () => {
    await withBrokenBuild(deadlinesEndNothing, async (load) => {
      const replica = await startReplica(proxies[0].url, key, {
        build: await buildOf(load),
        requestTimeoutMs,
      });
      await ask(replica, { user: 'ann' });
      proxies[0].blackhole();
      const asking = ask(replica, { user: 'ann' }).then(() => 'answered');
      const waited = pause(longestMs).then(() => 'still waiting');
      expect(await Promise.race([asking, waited])).toBe('still waiting');
      proxies[0].heal();
      proxies[0].reset();
      await asking;
      await replica.close();
    });
  });
});
