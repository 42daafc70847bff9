import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/storage/database.ts';
import { openListener } from '../../src/storage/notifications.ts';
import { withBrokenBuild } from '../support/broken-build.ts';
import { long } from '../support/long-run.ts';
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import { type Replica, type Replicas, startReplica, startReplicas } from '../support/replicas.ts';
import { buildVault, grant, outcome, revoke } from '../support/vault.ts';

const proveEveryMs = 400;

let started: Replicas;
let undo: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  started = await startReplicas(1);
  undo = [() => started.close()];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

describe.skipIf(!hasPgbouncer)('through pgbouncer in transaction mode', () => {
  /** What a listener finds itself to be, one after the other. */
  async function foundOut(open: typeof openListener): Promise<readonly boolean[]> {
    const pooler = await startPgbouncer(started.database.url);
    undo.push(() => pooler.stop());
    const options = { poolSize: 2, connectTimeoutMs: 1_000, statementTimeoutMs: 5_000 };
    const database = openDatabase({ url: started.database.url, ...options });
    const hearing: boolean[] = [];
    const listener = open({
      url: pooler.url,
      database,
      connectTimeoutMs: 1_000,
      proveEveryMs,
      onWake: () => {},
      onHearing: (hears) => void hearing.push(hears),
    });
    undo.push(async () => {
      await listener.close();
      await database.close();
    });
    while (hearing.length === 0) await pause(5);
    await pause(proveEveryMs * 5);
    return hearing;
  }

  test('a listener hears nothing and says so (C-06)', async () => {
    expect(await foundOut(openListener)).toEqual([false]);
  });

  test('a listener of a build that believes itself without having heard says that it hears (C-06)', async () => {
    const file = 'storage/notifications.ts';
    await withBrokenBuild({ file, replace: '        within(proof),\n', by: '' }, async (load) => {
      const broken = await load<{ openListener: typeof openListener }>(file);
      expect(await foundOut(broken.openListener)).toEqual([true]);
    });
  });

  test('three replicas answer from the newest revision and write, by reading alone (C-06)', async () => {
    const [writer] = started.replicas as readonly [Replica];
    await buildVault(writer, ['ann', 'bob', 'cid']);
    const pooler = await startPgbouncer(started.database.url);
    undo.push(() => pooler.stop());
    const log: string[] = [];
    const opening = Array.from({ length: 3 }, () =>
      startReplica(pooler.url, started.adminKey, { listens: true, onLog: (line) => log.push(line) }),
    );
    const replicas = await Promise.all(opening);
    undo.push(() => Promise.all(replicas.map((replica) => replica.close())));
    const lane = async (user: string, number: number) => {
      for (let round = 0; round < (long ? 1_000 : 8); round += 1) {
        const gives = round % 2 === 0;
        await (gives ? grant : revoke)(replicas[(round + number) % 3] as Replica, user);
        const answers = await Promise.all(replicas.map((replica) => outcome(replica, { user })));
        expect(answers).toEqual(Array(3).fill(gives ? 'allowed' : 'denied'));
      }
    };
    await Promise.all(['ann', 'bob', 'cid'].map(lane));
    while (log.filter((line) => line.includes('"hears":false')).length < 3) await pause(5);
    const { ready } = await (replicas[0] as Replica).runtime.health.readiness(performance.now() + 20_000);
    expect(ready).toBe(true);
  });
});
