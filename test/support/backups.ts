/** What a backup is to bring back, and how it shows that it did: rows, decisions, and which tokens hold. */
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import postgres from 'postgres';
import { expect } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { type Include, wayRound } from '../../src/domain/roles.ts';
import { operatorCall } from '../../src/services/call.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { referenceDecision } from './reference-model.ts';
import { openTestRuntime } from './runtime.ts';
import type { ServerCluster } from './server-tools.ts';
import { startTestService } from './service.ts';
import { questionsAbout, type StoredWorld, slugIn, storable, store, userIn } from './stored-worlds.ts';
import { instants, worlds } from './worlds.ts';

export const database = 'app';

/** The same server, another role or database. */
export const on = (cluster: ServerCluster, role: string, name = database) =>
  Object.assign(new URL(cluster.url), { username: role, pathname: `/${name}` }).href;

export async function withSql<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

/** Only what the service itself would store: no role includes itself. */
const stored: StoredWorld[] = fc
  .sample(fc.tuple(worlds, fc.constantFrom(...instants)), { seed: 38, numRuns: 60 })
  .map(([world, at], number) => ({ number, at, world: storable(world) }))
  .filter(
    ({ world }) =>
      wayRound(world.includes.filter(({ withheld }) => !withheld) as object[] as Include[]) === undefined,
  );
const questions = stored.flatMap((each) => questionsAbout('permissions', each));

/** An installation in use: the role `migrator` owns it, the row-level kit is there, and so are dozens of worlds. */
export async function installOn(cluster: ServerCluster): Promise<void> {
  await withSql(cluster.url, async (sql) => {
    await sql.unsafe('create role migrator login');
    await sql.unsafe(`create database ${database} owner migrator`);
  });
  await migrateUp({ url: on(cluster, 'migrator'), steps: await readSteps() });
  await asOperator(on(cluster, 'postgres'), 'read write', installRowLevel);
  const runtime = await openTestRuntime(on(cluster, 'migrator'));
  await runtime.matrix.apply(operatorCall(20_000), [await readMatrixFile(shippedBaseline)]);
  await runtime.close();
  await withSql(on(cluster, 'migrator'), (sql) => sql.begin((transaction) => store(transaction, stored)));
}

/** Somebody who writes one revision after the other until told to end. */
export interface Load {
  /** The tokens of what was written, oldest first. */
  readonly tokens: readonly string[];
  /** Resolves when so many more were written; rejects when writing failed. */
  more(writes: number): Promise<void>;
  end(): Promise<void>;
}

export async function startLoad(url: string): Promise<Load> {
  const runtime = await openTestRuntime(url);
  const tokens: string[] = [];
  let ends = false;
  const writing = (async () => {
    for (; !ends; ) {
      const user = { id: `load-${tokens.length}` as UserId, email: null, active: true };
      tokens.push((await runtime.users.create(operatorCall(20_000), user)).revision);
    }
  })();
  return {
    tokens,
    async more(writes) {
      const enough = tokens.length + writes;
      while (tokens.length < enough) await Promise.race([sleep(10), writing]);
    },
    async end() {
      ends = true;
      await writing.finally(() => runtime.close());
    },
  };
}

/** Of every table how many rows it has, and what they add up to. */
export async function rowsOf(sql: postgres.ISql): Promise<Record<string, unknown>> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r' order by 1`;
  const found: Record<string, unknown> = {};
  for (const { name } of tables)
    [found[name]] = await sql.unsafe(
      `select count(*)::int, md5(string_agg(t::text, '|' order by t::text)) from rolecall.${name} as t`,
    );
  return found;
}

const neverEmpty = [
  ...['users', 'roles', 'permissions', 'user_roles', 'user_permissions'],
  ...['journal', 'revision', 'migrations'],
];

/** Holds a restored database's rows to what stood in the other one; two that are empty are not the same. */
export async function expectRows(url: string, before: Record<string, unknown>): Promise<void> {
  const after = await withSql(url, rowsOf);
  expect(after).toEqual(before);
  const filled = expect.toSatisfy((count: number) => count > 0) as number;
  for (const table of neverEmpty) expect(after[table]).toMatchObject({ count: filled });
}

/** Holds a database's first answers about the worlds to what the reference model says. */
export async function expectDecisions(url: string, decisions: number): Promise<void> {
  const asked = questions.slice(0, decisions);
  const named = asked.map(({ stored: world, user, what, scope }) => [
    userIn(world, user),
    slugIn(world, what),
    scope,
  ]);
  const rows = await withSql(
    url,
    (sql) => sql<{ allowed: boolean }[]>`
      select rolecall.has_permission(q ->> 0, q ->> 1, q ->> 2) as allowed
      from jsonb_array_elements(${JSON.stringify(named)}::text::jsonb) with ordinality as a (q, place) order by place`,
  );
  expect(rows).toHaveLength(decisions);
  expect(rows.map(({ allowed }) => allowed)).toEqual(
    asked.map(
      ({ stored: { world, at }, user, what, scope }) =>
        referenceDecision(world, user, what, scope, at).allowed,
    ),
  );
}

/** How many epochs there are, where the present one began, and the newest revision. */
export const epochsOf = (url: string) =>
  withSql(url, async (sql) => {
    const [row] = await sql<{ all: number; began: number; newest: number }[]>`
      select (select count(*)::int from rolecall.epochs) as all, max(began_at_revision)::int as began,
        (select value::int from rolecall.revision) as newest from rolecall.epochs`;
    return row;
  });

/** Asks the whole service on a restored database with tokens from before: it has history up to `last`, and lost the rest. */
export async function expectTokens(url: string, tokens: readonly string[], last: number): Promise<void> {
  const kept = tokens.filter((token) => numberOf(token) <= last);
  const lost = tokens.filter((token) => numberOf(token) > last);
  const service = await startTestService({ database: { url, drop: async () => {} } });
  const ask = (atLeast: string | undefined) =>
    service
      .as()
      .post('/authorize')
      .send({ permission: 'rolecall_check', atLeast: atLeast ?? 'none' });
  for (const token of [kept[0], kept.at(-1)]) expect((await ask(token)).status).toBe(200);
  for (const token of [lost[0], lost.at(-1)])
    expect((await ask(token)).body).toMatchObject({ status: 409, code: 'lost_history' });
  await service.close();
}

const numberOf = (token: string) => Number(token.split('-')[1]);
