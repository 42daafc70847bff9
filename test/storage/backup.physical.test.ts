import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { verifyChain } from '../../src/storage/chain.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { asOperator } from '../../src/storage/operator.ts';
import {
  epochsOf,
  expectDecisions,
  expectRows,
  expectTokens,
  installOn,
  type Load,
  on,
  rowsOf,
  startLoad,
  withSql,
} from '../support/backups.ts';
import { long, summarize } from '../support/long-run.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import {
  runAsServer,
  runTool,
  type ServerCluster,
  serverTools,
  startCluster,
  toolFolder,
} from '../support/server-tools.ts';

const waysToTell = long
  ? ['recovery_target_name', 'recovery_target_lsn', 'recovery_target_time']
  : ['recovery_target_name'];
const decisions = long ? 10_000 : 500;

/** What stood between two revisions. */
interface Moment {
  readonly revision: number;
  readonly rows: Record<string, unknown>;
}

describe.skipIf(serverTools === undefined)("a backup of the files (needs Debian's postgresql)", () => {
  let source: ServerCluster;
  let load: Load;
  let folder: string;
  let base: string;
  let archive: string;
  let backedUp: Moment;
  let marked: Moment;
  let targets: Readonly<Record<string, string>>;
  let restored: ServerCluster | undefined;

  beforeAll(async () => {
    folder = await toolFolder();
    [base, archive] = [join(folder, 'base'), join(folder, 'archive')];
    await runAsServer('mkdir', [archive]);
    source = await startCluster({
      settings: {
        archive_mode: 'on',
        archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f`,
      },
    });
    await withSql(source.url, (sql) => sql.unsafe('create role copier login replication'));
    await installOn(source);
    load = await startLoad(on(source, 'migrator'));
    backedUp = await copyUnderLoad();
    await load.more(20);
    marked = await whileWritesWait(async (sql) => {
      targets = await mark(sql);
    });
    await load.more(20);
    await load.end();
    await archived();
  });
  afterEach(async () => {
    await restored?.stop();
    restored = undefined;
  });
  afterAll(async () => {
    await source.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What stands while `work` is done: every change waits for the row that is locked here. */
  function whileWritesWait(work: (sql: postgres.ISql) => Promise<void>): Promise<Moment> {
    return withSql(on(source, 'postgres'), (sql) =>
      sql.begin(async (transaction) => {
        const [{ revision }] = await transaction<[{ revision: number }]>`
          select value::int as revision from rolecall.revision for update`;
        const rows = await rowsOf(transaction);
        await work(transaction);
        return { revision, rows };
      }),
    );
  }

  /** Slowly enough that much is written meanwhile. What it is a copy of is known, since nobody writes when it ends. */
  async function copyUnderLoad(): Promise<Moment> {
    const words = ['-D', base, '-X', 'stream', '-c', 'fast', '--max-rate=8M'];
    const copying = runTool('pg_basebackup', [...words, '-d', on(source, 'copier')]);
    while ((await Promise.race([phase(), copying])) !== 'streaming database files') await sleep(20);
    await load.more(10);
    return whileWritesWait(async () => {
      expect(await phase()).toBe('streaming database files');
      await copying;
    });
  }

  const phase = () =>
    withSql(source.url, async (sql) => {
      const [row] = await sql<{ phase: string }[]>`select phase from pg_stat_progress_basebackup`;
      return row?.phase;
    });

  /** Marks this moment, and says all the ways in which recovery can be told to stop there. */
  async function mark(sql: postgres.ISql): Promise<Readonly<Record<string, string>>> {
    const [{ lsn, time }] = await sql<[{ lsn: string; time: string }]>`
      select pg_create_restore_point('before the import')::text as lsn, clock_timestamp()::text as time`;
    return {
      recovery_target_name: 'before the import',
      recovery_target_lsn: lsn,
      recovery_target_time: time,
    };
  }

  /** Resolves when all that was written is in the archive. */
  const archived = () =>
    withSql(source.url, async (sql) => {
      const [{ last }] = await sql<[{ last: string }]>`select pg_walfile_name(pg_switch_wal()) as last`;
      for (let done = ''; done < last; await sleep(20))
        [{ done }] = await sql<[{ done: string }]>`
          select coalesce(max(last_archived_wal), '') as done from pg_stat_archiver`;
    });

  /** The server that wrote each epoch, and its timeline, in the order in which they began. */
  const places = (url: string) =>
    withSql(url, async (sql) => {
      const rows = await sql<{ incarnation: string }[]>`
        select incarnation from rolecall.epochs order by began_at_revision`;
      return rows.map(({ incarnation }) => incarnation.split('/').slice(0, 2));
    });

  async function expectStood(cluster: ServerCluster, { revision, rows }: Moment): Promise<void> {
    const url = on(cluster, 'migrator');
    const options = { url, journalKey: testJournalKey, steps: await readSteps() };
    expect(await verifyDatabase(options)).toMatchObject({
      drift: [],
      breaches: [],
      unrecorded: [],
      pending: [],
    });
    const chain = await asOperator(url, 'one snapshot', (sql) => verifyChain(sql, testJournalKey));
    expect(chain).toMatchObject({ broken: null, ended: true, place: { revision } });
    await expectRows(on(cluster, 'postgres'), rows);
    await expectDecisions(on(cluster, 'postgres'), decisions);
  }

  /** Starts another cluster from the copy, and says in a full run how long it took until it was as it should be. */
  async function restore(settings: Readonly<Record<string, string>>, moment: Moment): Promise<void> {
    const begun = Date.now();
    restored = await startCluster({ base, settings });
    const started = Date.now() - begun;
    await expectStood(restored, moment);
    const kept = load.tokens.findIndex((token) => token.endsWith(`-${moment.revision}`)) + 1;
    summarize('D-02', {
      ...settings,
      'ms until it takes writes': started,
      'revisions lost': load.tokens.length - kept,
    });
  }

  /** Nobody said that history was cut: the first who comes finds it out. */
  async function expectEpochFound(moment: Moment): Promise<void> {
    const url = on(restored as ServerCluster, 'migrator');
    const [before] = await places(url);
    expect(await epochsOf(url)).toMatchObject({ all: 1, newest: moment.revision });
    await expectTokens(url, load.tokens, moment.revision);
    expect(await epochsOf(url)).toMatchObject({ all: 2, began: moment.revision });
    expect(before?.[1]).toBe('00000001');
    expect(await places(url)).toEqual([before, [before?.[0], '00000002']]);
  }

  test('made under load is whole, and recovers elsewhere to when it ended (D-02)', async () => {
    expect(await runTool('pg_verifybackup', [base])).toMatch(/backup successfully verified/);
    summarize('D-02', { 'base backup in MB': Number.parseInt(await runAsServer('du', ['-sm', base]), 10) });
    await restore({ restore_command: 'false' }, backedUp);
    await expectEpochFound(backedUp);
  }, 120_000);

  test.each(waysToTell)(
    'recovers to a marked revision by %s, and no further (D-02)',
    async (target) => {
      expect(marked.revision).toBeGreaterThan(backedUp.revision);
      const settings = { restore_command: `cp ${archive}/%f %p`, recovery_target_action: 'promote' };
      await restore({ ...settings, [target]: targets[target] as string }, marked);
      await expectEpochFound(marked);
    },
    120_000,
  );

  test('is not taken for the original once it is said that it is none, if it was just started (D-02)', async () => {
    await restore({}, backedUp);
    const url = on(restored as ServerCluster, 'migrator');
    const runtime = await openTestRuntime(url);
    expect(await runtime.health.readiness(dueIn(20_000))).toEqual({ ready: true, problems: [] });
    expect(await epochsOf(url)).toMatchObject({ all: 1, newest: backedUp.revision });
    const { lostAfter } = await runtime.epochs.declare(operatorCall(20_000));
    await runtime.close();
    expect(lostAfter).toBe(load.tokens.find((token) => token.endsWith(`-${backedUp.revision}`)));
    await expectTokens(url, load.tokens, backedUp.revision);
  }, 120_000);

  test('takes no writes if what it is to recover to is not in the archive (D-02)', async () => {
    const settings = { restore_command: 'false', recovery_target_name: 'before the import' };
    await expect(startCluster({ base, settings })).rejects.toThrow('did not start');
  });

  test('with one other byte is found out before it is needed (D-02)', async () => {
    const damaged = join(folder, 'damaged');
    await runAsServer('cp', ['-a', base, damaged]);
    const handle = await open(join(damaged, 'PG_VERSION'), 'r+');
    await handle.write('9', 0);
    await handle.close();
    await expect(runTool('pg_verifybackup', [damaged])).rejects.toThrow(/checksum mismatch/);
  });
});
