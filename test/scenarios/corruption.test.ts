import { open } from 'node:fs/promises';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import { operatorCall } from '../../src/services/call.ts';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { watch } from '../support/fault-watch.ts';
import { long, summarize } from '../support/long-run.ts';
import { makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import { runTool, type ServerCluster, serverTools, startCluster } from '../support/server-tools.ts';
import { buildVault, grant } from '../support/vault.ts';

const rounds = long ? 20 : 1;

describe.skipIf(serverTools === undefined)("what faults leave behind (needs Debian's postgresql)", () => {
  let cluster: ServerCluster;
  let replica: Replica;
  beforeAll(async () => {
    cluster = await startCluster({ durable: true });
    await migrateUp({ url: cluster.url, steps: await readSteps() });
    const runtime = await openTestRuntime(cluster.url);
    await runtime.matrix.apply(operatorCall(60_000), [await readMatrixFile(shippedBaseline)]);
    await runtime.close();
    replica = await startReplica(cluster.url, await makeRoot(cluster.url), { requestTimeoutMs: 1_000 });
    await buildVault(replica, ['ann', 'bob']);
    await grant(replica, 'ann');
  });
  afterAll(() => cluster.stop());

  const processes = async (application: string): Promise<readonly number[]> => {
    const sql = postgres(cluster.url, { max: 1, onnotice: () => {} });
    const rows = await sql<{ pid: number }[]>`
      select pid from pg_stat_activity where application_name = ${application} and backend_type = 'client backend'`;
    await sql.end();
    return rows.map(({ pid }) => pid);
  };

  const faults: Readonly<Record<string, () => Promise<void>>> = {
    'a backend is killed': async () => {
      for (const pid of (await processes('rolecall')).slice(0, 1)) process.kill(pid, 'SIGKILL');
    },
    'the machine fails': () => cluster.crash(),
    'a migration is killed': async () => {
      const options = { url: cluster.url, steps: await readSteps(), journalKey: testJournalKey };
      const migrating = migrateDown(options, 99).catch(() => {});
      let found: readonly number[] = [];
      while (found.length === 0) found = await processes('rolecall migrate');
      for (const pid of found) process.kill(pid, 'SIGKILL');
      await migrating;
      for (;;)
        if (
          await migrateUp(options).then(
            () => true,
            () => false,
          )
        )
          return;
    },
  };

  test('are files and indexes without a fault (D-12)', async () => {
    let writes = 0;
    for (let round = 0; round < rounds; round += 1)
      for (const [name, fault] of Object.entries(faults)) {
        // A step that is down for a moment makes the service unready, and may well refuse: that is not this test's question.
        const seen = await watch([replica], fault);
        expect([name, seen.lost, seen.wrong]).toEqual([name, 0, 0]);
        writes += seen.writes;
      }
    await replica.close();
    const amcheck = ['--install-missing', '--heapallindexed', '--parent-check', '--rootdescend'];
    expect(await runTool('pg_amcheck', [...amcheck, cluster.url])).toBe('');

    const sql = postgres(cluster.url, { max: 1, onnotice: () => {} });
    const [file] = await sql<[{ path: string }]>`select pg_relation_filepath('rolecall.users') as path`;
    await sql.end();
    const checked = await cluster.stopAndCheck();
    expect(checked).toMatch(/Bad checksums: +0\n/);
    summarize('D-12', { rounds, faults: rounds * 3, writes, 'bad blocks': 0 });

    // One byte of one row is another one.
    const handle = await open(join(cluster.data, file.path), 'r+');
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 8_000);
    await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 8_000);
    await handle.close();
    await expect(cluster.stopAndCheck()).rejects.toThrow(/checksum verification failed/);
  }, 1_200_000);
});
