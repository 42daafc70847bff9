import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { examine } from '../../src/services/doctor.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { lintRowLevel } from '../../src/storage/row-level/lint.ts';
import { referenceDecision } from '../support/reference-model.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import { runTool, type ServerCluster, serverTools, startCluster } from '../support/server-tools.ts';
import { startTestService } from '../support/service.ts';
import {
  questionsAbout,
  type StoredWorld,
  slugIn,
  storable,
  store,
  userIn,
} from '../support/stored-worlds.ts';
import { instants, worlds } from '../support/worlds.ts';

const database = 'app';
const decisions = 10_000;

/** The same server, another role or database. */
const on = (cluster: ServerCluster, role: string, name = database) =>
  Object.assign(new URL(cluster.url), { username: role, pathname: `/${name}` }).href;

async function withSql<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

describe.skipIf(serverTools === undefined)("a backup by pg_dump (needs Debian's postgresql)", () => {
  let source: ServerCluster;
  let target: ServerCluster;
  let folder: string;
  const stored: StoredWorld[] = fc
    .sample(fc.tuple(worlds, fc.constantFrom(...instants)), { seed: 38, numRuns: 40 })
    .map(([world, at], number) => ({ number, at, world: storable(world) }));
  const questions = stored.flatMap((each) => questionsAbout('permissions', each)).slice(0, decisions);

  beforeAll(async () => {
    [source, target] = await Promise.all([startCluster(), startCluster()]);
    folder = await mkdtemp(join(tmpdir(), 'rolecall-backup-test-'));
    await withSql(source.url, async (sql) => {
      await sql.unsafe(
        `create role migrator login; create role backup login bypassrls in role pg_read_all_data`,
      );
      await sql.unsafe('create role careless login in role pg_read_all_data');
      await sql.unsafe(`create database ${database} owner migrator`);
    });
    await migrateUp({ url: on(source, 'migrator'), steps: await readSteps() });
    await asOperator(on(source, 'postgres'), 'read write', installRowLevel);
    const runtime = await openTestRuntime(on(source, 'migrator'));
    await runtime.matrix.apply(operatorCall(20_000), [await readMatrixFile(shippedBaseline)]);
    await runtime.close();
    await withSql(on(source, 'migrator'), (sql) => sql.begin((transaction) => store(transaction, stored)));
  });
  afterAll(async () => {
    await Promise.all([source.stop(), target.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  const decide = (url: string) =>
    withSql(url, async (sql) => {
      const asked = questions.map(({ stored: world, user, what, scope }) => [
        userIn(world, user),
        slugIn(world, what),
        scope,
      ]);
      const rows = await sql<{ allowed: boolean }[]>`
        select rolecall.has_permission(q ->> 0, q ->> 1, q ->> 2) as allowed
        from jsonb_array_elements(${JSON.stringify(asked)}::text::jsonb) with ordinality as a (q, place) order by place`;
      return rows.map(({ allowed }) => allowed);
    });

  /** Of every table how many rows it has, and what they add up to. */
  async function contents(sql: postgres.ISql): Promise<Record<string, unknown>> {
    const tables = await sql<{ name: string }[]>`
      select relname as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r' order by 1`;
    const found: Record<string, unknown> = {};
    for (const { name } of tables)
      [found[name]] = await sql.unsafe(
        `select count(*)::int, md5(string_agg(t::text, '|' order by t::text)) from rolecall.${name} as t`,
      );
    return found;
  }

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
    const runtime = await openTestRuntime(on(source, 'migrator'));
    let stop = false;
    let written = 0;
    const tokens: string[] = [];
    const load = (async () => {
      for (; !stop; written += 1) {
        const id = `load-${written}` as UserId;
        const made = await runtime.users.create(operatorCall(20_000), { id, email: null, active: true });
        tokens.push(made.revision);
      }
    })();
    while (written < 10) await new Promise((resolve) => setTimeout(resolve, 10));

    const [before, revisionAtDump] = await withSql(on(source, 'postgres'), (sql) =>
      sql.begin('isolation level repeatable read', async (transaction) => {
        const [{ snapshot } = { snapshot: '' }] = await transaction<
          { snapshot: string }[]
        >`select pg_export_snapshot() as snapshot`;
        const seen = await contents(transaction);
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
    const atDump = written;
    while (written === atDump) await new Promise((resolve) => setTimeout(resolve, 10));
    stop = true;
    await load;
    await runtime.close();

    // As docs/backup-and-restore.md says: the roles first, then the database, then the rows.
    await withSql(target.url, async (sql) => {
      await sql.unsafe('create role migrator login');
      await sql.unsafe(`create database ${database} owner migrator`);
    });
    await asOperator(on(target, 'postgres'), 'read write', installRowLevel);
    await runTool('pg_restore', ['--exit-on-error', '-d', on(target, 'postgres'), file]);

    const after = await withSql(on(target, 'postgres'), contents);
    expect(after).toEqual(before);
    for (const table of [
      'users',
      'roles',
      'permissions',
      'user_roles',
      'user_permissions',
      'journal',
      'revision',
      'migrations',
    ])
      expect(after[table]).toMatchObject({ count: expect.toSatisfy((count: number) => count > 0) as number });
    expect(await security(on(target, 'postgres'))).toEqual(await security(on(source, 'postgres')));

    const answers = await decide(on(target, 'postgres'));
    expect(answers).toHaveLength(decisions);
    expect(answers).toEqual(
      questions.map(
        ({ stored: { world, at }, user, what, scope }) =>
          referenceDecision(world, user, what, scope, at).allowed,
      ),
    );
    expect(await decide(on(source, 'postgres'))).toEqual(answers);

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
    const [epochs] = await withSql(
      on(target, 'postgres'),
      (sql) => sql`
      select (select count(*)::int from rolecall.epochs) as all, max(began_at_revision)::int as began,
        (select value::int from rolecall.revision) as newest from rolecall.epochs`,
    );
    // What it made itself: the beginning of the epoch and the user.
    expect(epochs).toEqual({ all: 2, began: revisionAtDump, newest: revisionAtDump + 2 });

    const service = await startTestService({
      database: { url: on(target, 'migrator'), drop: async () => {} },
    });
    const ask = (atLeast: string | undefined) =>
      service.as().post('/authorize').send({ permission: 'rolecall_check', atLeast });
    const numberOf = (token: string) => Number(token.split('-')[1]);
    const [kept, gone] = [true, false].map((isKept) =>
      tokens.filter((token) => numberOf(token) <= revisionAtDump === isKept),
    );
    expect((await ask(kept?.at(-1))).status).toBe(200);
    expect(gone?.length).toBeGreaterThan(0);
    for (const token of [gone?.[0], gone?.at(-1)])
      expect((await ask(token)).body).toMatchObject({ status: 409, code: 'lost_history' });
    await service.close();
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
