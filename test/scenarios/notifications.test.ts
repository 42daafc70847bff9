import { createHook } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/storage/database.ts';
import { revisionChannel } from '../../src/storage/journal.ts';
import { type Listener, openListener } from '../../src/storage/notifications.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import {
  type Build,
  buildOf,
  type Replica,
  type Replicas,
  soundBuild,
  startReplica,
  startReplicas,
} from '../support/replicas.ts';
import { buildVault, grant, type Outcome, outcome, revoke } from '../support/vault.ts';

const proveEveryMs = 400;
const listenerName = 'rolecall listener';

let started: Replicas;
let proxy: ChaosProxy;
let undo: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  started = await startReplicas(1);
  proxy = await startChaosProxy(started.database.url);
  undo = [() => started.close(), () => proxy.close()];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

interface Heard {
  readonly listener: Listener;
  /** What it was found to be, one after the other. */
  readonly hearing: boolean[];
  /** How often it woke somebody. */
  wakes: number;
}

/** A listener whose connection goes through the proxy, while everything else reaches the server directly. */
function listen(url = proxy.url, open: typeof openListener = openListener): Heard {
  const options = { poolSize: 2, connectTimeoutMs: 1_000, statementTimeoutMs: 5_000 };
  const database = openDatabase({ url: started.database.url, ...options });
  const heard: { listener?: Listener; hearing: boolean[]; wakes: number } = { hearing: [], wakes: 0 };
  heard.listener = open({
    url,
    database,
    connectTimeoutMs: 1_000,
    proveEveryMs,
    onWake: () => {
      heard.wakes += 1;
    },
    onHearing: (hears) => void heard.hearing.push(hears),
  });
  undo.push(async () => {
    await heard.listener?.close();
    await database.close();
  });
  return heard as Heard;
}

/** Waits, within the time of the test or for so long, and tells whether it came. */
async function until(
  isSo: () => boolean | Promise<boolean>,
  patienceMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const end = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > end) return false;
    await pause(5);
  }
  return true;
}

/** Counts the timers that this process starts from now on and that neither rang nor were stopped, unreferenced ones too. */
function countTimers(): () => number {
  const running = new Set<number>();
  const hook = createHook({
    init: (id, kind) => void (kind === 'Timeout' && running.add(id)),
    destroy: (id) => void running.delete(id),
  }).enable();
  undo.push(async () => void hook.disable());
  return () => running.size;
}

/** The least that a count falls to while a listener proves itself, and gives up what it waited for in vain. */
async function fewest(count: () => number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + proveEveryMs * 3; performance.now() < end; await pause(5))
    least = Math.min(least, count());
  return least;
}

const notify = () => started.sql`select pg_notify(${revisionChannel}, '')`;
const listening = () => started.sql<{ pid: number }[]>`
  select pid from pg_stat_activity where application_name = ${listenerName} and datname = current_database()`;

describe('a listener', () => {
  test('hears itself, wakes whoever waits, and is gone when it is closed', async () => {
    const heard = listen();
    await until(() => heard.listener.hears);
    const before = heard.wakes;
    await notify();
    await until(() => heard.wakes > before);
    expect(heard.hearing[0]).toBe(true);
    await heard.listener.close();
    await until(async () => (await listening()).length === 0);
  });

  test('whose connection is ended wakes again, whatever happened meanwhile, and stays one (C-04, C-18)', {
    timeout: 1_200_000,
  }, async () => {
    const heard = listen();
    await until(() => heard.listener.hears);
    const cycles = long ? 1_000 : 15;
    const gaps: number[] = [];
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await pause(Math.random() * 30);
      const [row] = await listening();
      if (row) await started.sql`select pg_terminate_backend(${row.pid})`;
      const before = heard.wakes;
      await notify();
      const missed = performance.now();
      await until(() => heard.wakes > before);
      gaps.push(performance.now() - missed);
    }
    await until(async () => (await listening()).length === 1);
    const before = heard.wakes;
    await notify();
    await until(() => heard.wakes > before);
    expect(await listening()).toHaveLength(1);
    await until(() => proxy.connections(listenerName) === 1);
    summarize('C-04, milliseconds until woken after the listener was ended', { cycles, ...spread(gaps) });
  });

  /** How soon it wakes after each of so many faults, or what is wrong with it after one. */
  async function survive(cycles: number, open?: typeof openListener, patienceMs?: number) {
    const timers = countTimers();
    const heard = listen(proxy.url, open);
    const isOne = () => heard.listener.hears && proxy.connections() === 1;
    const end = async () => {
      for (const { pid } of await listening()) await started.sql`select pg_terminate_backend(${pid})`;
    };
    const refuse = async () => {
      proxy.refuse();
      await pause(50);
    };
    const faults: readonly (() => unknown)[] = [
      end,
      refuse,
      () => proxy.reset(),
      () => proxy.blackhole({ application: listenerName }),
      () => proxy.blackhole({ application: listenerName, of: 'server' }),
    ];
    const gaps: number[] = [];
    await until(isOne);
    await notify();
    const first = await fewest(timers);
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await pause(Math.random() * 50);
      const [fault] = faults.slice(long ? Math.floor(Math.random() * faults.length) : cycle);
      await fault?.();
      const missed = performance.now();
      proxy.heal();
      const before = heard.wakes;
      await notify();
      if (!(await until(() => heard.wakes > before, patienceMs))) return 'it does not wake';
      gaps.push(performance.now() - missed);
      if (!(await until(isOne, patienceMs))) return 'it is not one that hears';
    }
    return (await fewest(timers)) <= first + 1 ? gaps : 'it leaves timers';
  }

  test('wakes again after any fault, and stays one, with no connection or timer more (C-18)', {
    timeout: 400_000,
  }, async () => {
    const cycles = long ? 200 : 5;
    const gaps = await survive(cycles);
    expect(gaps).toHaveLength(cycles);
    summarize('C-18, milliseconds until woken after a fault', { cycles, ...spread(gaps as number[]) });
  });

  const proof = '    const channel = `rolecall_proof_';
  const supervisors: Readonly<
    Record<string, readonly [breakage: readonly Omit<Breakage, 'file'>[], seen: string]>
  > = {
    'goes on with the same client': [
      [
        {
          replace: '  const running = run();',
          by: '  let kept: postgres.Sql | undefined;\n  const running = run();',
        },
        {
          replace: 'const client = connect(socket);',
          by: 'kept ??= connect(socket);\n      const client = kept;',
        },
      ],
      'it does not wake',
    ],
    'does not end the client before': [
      [
        {
          replace: '        await client.end({ timeout: 0 }).catch(() => {});\n        socket.end();\n',
          by: '',
        },
      ],
      'it is not one that hears',
    ],
    'keeps a timer for each client': [
      [{ replace: proof, by: `    setInterval(() => {}, 60_000).unref();\n${proof}` }],
      'it leaves timers',
    ],
  };
  test.for(Object.entries(supervisors))(
    'is found out in a build that %s (C-18)',
    async ([, [breakages, seen]]) => {
      const file = 'storage/notifications.ts';
      await withBrokenBuild(
        breakages.map((each) => ({ file, ...each })),
        async (load) => {
          const { openListener: broken } = await load<{ openListener: typeof openListener }>(file);
          expect(await survive(5, broken, proveEveryMs * 8)).toBe(seen);
        },
      );
    },
  );

  test.for(['server', undefined] as const)(
    'that is half-open, deaf where the %s speaks, is found out and replaced (C-05, F-11)',
    async (side) => {
      const heard = listen();
      await until(() => heard.listener.hears);
      const known = heard.hearing.length;
      proxy.blackhole({ application: listenerName, ...(side ? { of: side } : {}) });
      const begun = performance.now();
      await until(() => heard.hearing.slice(known).includes(false));
      const before = heard.wakes;
      await until(() => heard.listener.hears && heard.wakes > before);
      summarize(`C-05, deaf where ${side ?? 'either'} speaks, replaced after ms`, {
        'proofs every': proveEveryMs,
        ms: Math.round(performance.now() - begun),
      });
    },
  );

  test('of a server that is not there comes back with it', async () => {
    proxy.refuse();
    const heard = listen();
    await until(() => heard.hearing.length > 0);
    expect(heard.hearing).toEqual([false]);
    proxy.heal();
    await until(() => heard.listener.hears);
    expect(heard.wakes).toBeGreaterThan(0);
  });

  /** It is given up while its driver waits to connect again, and just then the server is back. */
  async function connectionsAfterOutage(open: typeof openListener): Promise<number> {
    const heard = listen(proxy.url, open);
    await until(() => heard.listener.hears);
    proxy.refuse();
    await until(() => !heard.listener.hears);
    proxy.heal();
    await until(() => heard.listener.hears);
    // As long as the driver may have waited by then.
    await pause(300);
    const left = proxy.connections(listenerName);
    await heard.listener.close();
    return left;
  }

  test('that was given up leaves no connection behind (C-18)', async () => {
    expect(await connectionsAfterOutage(openListener)).toBe(1);
  });

  test('leaves one in a build whose driver connects though it was ended', async () => {
    const breakage: Breakage = { file: 'storage/notifications.ts', replace: '...{ socket: open },', by: '' };
    await withBrokenBuild(breakage, async (load) => {
      const { openListener: broken } = await load<{ openListener: typeof openListener }>(
        'storage/notifications.ts',
      );
      // It is a race between the driver's wait and the server's return: some of a few rounds lose it.
      let most = 0;
      for (let round = 0; round < 8 && most < 2; round += 1) most = await connectionsAfterOutage(broken);
      expect(most).toBeGreaterThan(1);
    });
  });

  test('that does not prove itself stays deaf unnoticed', async () => {
    const breakage: Breakage = {
      file: 'storage/notifications.ts',
      replace: '        within(proof),\n',
      by: '',
    };
    await withBrokenBuild(breakage, async (load) => {
      const { openListener: broken } = await load<{ openListener: typeof openListener }>(
        'storage/notifications.ts',
      );
      const heard = listen(proxy.url, broken);
      await until(() => heard.listener.hears);
      proxy.blackhole({ application: listenerName });
      await pause(proveEveryMs * 6);
      expect(heard.hearing).toEqual([true]);
    });
  });
});

/** Long enough that only a notification, or finding out that none comes, brings what is new. */
const longLease = { ROLECALL_FRESHNESS: 'lease', ROLECALL_LEASE_MS: '60000' };

describe('a replica that answers from memory', () => {
  /** What it answers when its listener is back, after Ann was given the role while that was away. */
  async function afterAbsence(build: Build): Promise<() => Promise<Outcome>> {
    const [writer] = started.replicas as readonly [Replica];
    await buildVault(writer, ['ann']);
    const options = { build, variables: longLease, listens: true };
    const other = await startReplica(proxy.url, started.adminKey, options);
    undo.push(() => other.close());
    await until(async () => (await listening()).length === 1);
    expect(await outcome(other, { user: 'ann' })).toBe('denied');
    proxy.refuse();
    await until(async () => (await listening()).length === 0);
    await grant(writer, 'ann');
    proxy.heal();
    await until(async () => (await listening()).length === 1);
    return () => outcome(other, { user: 'ann' });
  }

  test('knows what was committed while its listener was away, as soon as that is back (C-04)', async () => {
    const asked = await afterAbsence(soundBuild);
    await until(async () => (await asked()) === 'allowed');
  });

  test('knows it whenever its listener is ended, and answers whoever asks for the newest all along (C-04)', {
    timeout: 1_200_000,
  }, async () => {
    const [writer] = started.replicas as readonly [Replica];
    await buildVault(writer, ['ann']);
    const options = { variables: longLease, listens: true };
    const leased = await startReplica(proxy.url, started.adminKey, options);
    const latest = await startReplica(proxy.url, started.adminKey, options);
    undo.push(
      () => leased.close(),
      () => latest.close(),
    );
    await until(async () => (await listening()).length === 2);
    const cycles = long ? 1_000 : 10;
    const windows: number[] = [];
    let wrong = 0;
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await pause(Math.random() * 30);
      for (const { pid } of await listening()) await started.sql`select pg_terminate_backend(${pid})`;
      await pause(Math.random() * 10);
      const gives = cycle % 2 === 0;
      await (gives ? grant : revoke)(writer, 'ann');
      const written = performance.now();
      const due = gives ? 'allowed' : 'denied';
      if ((await outcome(latest, { user: 'ann', freshness: 'latest' })) !== due) wrong += 1;
      await until(async () => (await outcome(leased, { user: 'ann' })) === due);
      windows.push(performance.now() - written);
    }
    summarize('C-04, ms from memory after a revoke', { cycles, wrong, ...spread(windows) });
    expect(wrong).toBe(0);
  });

  test('does not know it in a build that waits for the next notification', async () => {
    const breakage = {
      file: 'storage/notifications.ts',
      replace: '        () => options.onWake(),\n        () => options.onWake(),\n',
      by: '        () => options.onWake(),\n',
    };
    await withBrokenBuild(breakage, async (load) => {
      const asked = await afterAbsence(await buildOf(load));
      await pause(1_000);
      expect(await asked()).toBe('denied');
    });
  });
});
