import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/domain/ids.ts';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { examine } from '../../src/services/doctor.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { lintRowLevel } from '../../src/storage/row-level/lint.ts';
import {
  database,
  epochsOf,
  expectDecisions,
  expectRows,
  expectTokens,
  installOn,
  on,
  rowsOf,
  startLoad,
  withSql,
} from '../support/backups.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import {
  runTool,
  type ServerCluster,
  serverTools,
  startCluster,
  toolFolder,
} from '../support/server-tools.ts';

const decisions = 10_000;

describe.skipIf(serverTools === undefined)("a backup by pg_dump (needs Debian's postgresql)", () => {
  let source: ServerCluster;
  let target: ServerCluster;
  let folder: string;

  beforeAll(async () => {
    [source, target] = await Promise.all([startCluster(), startCluster()]);
    folder = await toolFolder();
    await withSql(source.url, async (sql) => {
      await sql.unsafe('create role backup login bypassrls in role pg_read_all_data');
      await sql.unsafe('create role careless login in role pg_read_all_data');
    });
    await installOn(source);
  });
  afterAll(async () => {
    await Promise.all([source.stop(), target.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  const security = (url: string) =>
    withSql(url, (sql) =>
      sql`
      select relname, relrowsecurity, relforcerowsecurity, relacl::text, pg_get_userbyid(relowner) as owner,
        (select string_agg(polname || pg_get_expr(polqual, polrelid), ' ' order by polname) from pg_policy where polrelid = c.oid)
      from pg_class as c where relnamespace = 'rolecall'::regnamespace and relkind in ('r', 'S')
      union all select proname, prosecdef, proleakproof, proacl::text, pg_get_userbyid(proowner), prosrc || proconfig::text
      from pg_proc where pronamespace = 'rolecall'::regnamespace order by 1, 6`.then((rows) => [...rows]),
    );

  test('under load, restored into an empty cluster, decides as before (3.8, D-02)', async () => {
    const file = join(folder, 'rolecall.dump');
    const load = await startLoad(on(source, 'migrator'));
    await load.more(10);

    const [before, revisionAtDump] = await withSql(on(source, 'postgres'), (sql) =>
      sql.begin('isolation level repeatable read', async (transaction) => {
        const [{ snapshot } = { snapshot: '' }] = await transaction<
          { snapshot: string }[]
        >`select pg_export_snapshot() as snapshot`;
        const seen = await rowsOf(transaction);
        await runTool('pg_dump', [
          '-Fc',
          `--snapshot=${snapshot}`,
          '-n',
          'rolecall',
          '-f',
          file,
          '-d',
          on(source, 'backup'),
        ]);
        const [row] = await transaction<{ value: number }[]>`select value::int from rolecall.revision`;
        return [seen, row?.value ?? 0] as const;
      }),
    );
    await load.more(1);
    await load.end();

    // As docs/backup-and-restore.md says: the roles first, then the database, then the rows.
    await withSql(target.url, async (sql) => {
      await sql.unsafe('create role migrator login');
      await sql.unsafe(`create database ${database} owner migrator`);
    });
    await asOperator(on(target, 'postgres'), 'read write', installRowLevel);
    await runTool('pg_restore', ['--exit-on-error', '-d', on(target, 'postgres'), file]);

    await expectRows(on(target, 'postgres'), before);
    expect(await security(on(target, 'postgres'))).toEqual(await security(on(source, 'postgres')));

    await expectDecisions(on(source, 'postgres'), decisions);
    await expectDecisions(on(target, 'postgres'), decisions);

    const findings = await examine(on(target, 'migrator'), testJournalKey, await readSteps());
    expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    const lint = await asOperator(on(target, 'postgres'), 'read only', lintRowLevel);
    expect(lint).toEqual([]);

    // It goes on: sequences stand where they stood, the journal is sealed with the same key, and an epoch of its own begins.
    const restored = await openTestRuntime(on(target, 'migrator'));
    const user = { id: 'after' as UserId, email: null, active: true };
    expect(await restored.users.create(operatorCall(20_000), user)).toMatchObject({ changed: true });
    expect(await restored.health.readiness(dueIn(20_000))).toEqual({ ready: true, problems: [] });
    await restored.close();
    // What it made itself: the beginning of the epoch and the user.
    expect(await epochsOf(on(target, 'postgres'))).toEqual({
      all: 2,
      began: revisionAtDump,
      newest: revisionAtDump + 2,
    });
    await expectTokens(on(target, 'migrator'), load.tokens, revisionAtDump);
  }, 300_000);

  test.each([
    ['the owner, whom the policies are forced on', 'migrator', [], /row-level security|row security/],
    [
      'somebody who may read all but whom the policies hold',
      'careless',
      [],
      /row-level security|row security/,
    ],
    ['the same, who asks for what they may see', 'careless', ['--enable-row-security'], /permission denied/],
  ])('made by %s fails loudly and is never empty (3.8)', async (_who, role, words, complaint) => {
    const file = join(folder, `${role}.dump`);
    await expect(
      runTool('pg_dump', ['-Fc', '-n', 'rolecall', ...words, '-f', file, '-d', on(source, role)]),
    ).rejects.toThrow(complaint);
  });

  test('restored without its rows is found by doctor, and the service is not ready (3.8)', async () => {
    const file = join(folder, 'schema.dump');
    await runTool('pg_dump', [
      '-Fc',
      '-n',
      'rolecall',
      '--schema-only',
      '-f',
      file,
      '-d',
      on(source, 'backup'),
    ]);
    await withSql(source.url, (sql) => sql.unsafe('create database hollow owner migrator'));
    await runTool('pg_restore', ['--exit-on-error', '-d', on(source, 'postgres', 'hollow'), file]);
    const url = on(source, 'migrator', 'hollow');
    const findings = await examine(url, testJournalKey, await readSteps());
    expect(findings.filter(({ severity }) => severity === 'problem').map(({ subject }) => subject)).toContain(
      'rolecall.revision',
    );
    const runtime = await openTestRuntime(url);
    expect(await runtime.health.readiness(dueIn(20_000))).toMatchObject({ ready: false });
    await runtime.close();
  });
});
