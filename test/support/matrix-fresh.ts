/** Whether an environment with a history is what a fresh one is that never had any. */
import type postgres from 'postgres';
import { expect } from 'vitest';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { builtinLayer } from '../../src/domain/matrix/builtin.ts';
import { parseMatrixFiles } from '../../src/domain/matrix/parse.ts';
import { renderLayer } from '../../src/domain/matrix/render-layer.ts';
import type { openRuntime, Runtime } from '../../src/runtime.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { copyDatabase, createEmptyDatabase, createTestDatabase, type TestDatabase } from './database.ts';
import { readWorld } from './history-stage.ts';
import type { HistoryWorld } from './history-world.ts';
import { type EdgeEdit, textsOf } from './matrix-draws.ts';
import { call, type Environment, makeEdit, openEnvironment } from './matrix-edits.ts';
import { type MatrixHistory, playMatrixHistory, type Tally } from './matrix-history.ts';
import { rowTexts } from './matrix-reference.ts';
import { allowedNow } from './rights.ts';

/** A database of the test's own that is migrated, and to which nothing was ever applied. */
export async function createMigratedDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase();
  await migrateUp({ url: database.url, steps: await readSteps() });
  return database;
}

/**
 * Plays a history where the shipped baseline is applied, and compares the end with a copy of `migrated`, by the services of
 * a build. Throws at the first thing that is not as it must be; answers as `compareWithFresh`.
 */
export async function checkMatrixHistory(
  migrated: TestDatabase,
  history: MatrixHistory,
  tally: Tally,
  open?: typeof openRuntime,
): Promise<number> {
  const environment = await openEnvironment(await createTestDatabase(), open);
  const [fresh, other] = [
    await openEnvironment(await copyDatabase(migrated), open),
    await openEnvironment(await copyDatabase(migrated), open),
  ];
  try {
    await playMatrixHistory(environment, history, tally);
    const contested = await compareWithFresh(environment, fresh, history);
    await pullInto(environment, other, history);
    return contested;
  } finally {
    for (const one of [environment, fresh, other]) await one.close();
  }
}

/**
 * Applies the last matrix of a history to an environment that has nothing but migrations, repeats there what people did
 * past it and what still stands, and compares everything that is not retired. Answers with how many edges and includes
 * people cannot repeat, because they gave them before a layer began to withhold them; those are left out.
 */
async function compareWithFresh(
  environment: Environment,
  fresh: Environment,
  { steps, last }: MatrixHistory,
): Promise<number> {
  await fresh.runtime.matrix.apply(call(), last.layers);
  const contested = await repeatEdits(environment, fresh);
  const renamed = steps.flatMap((step) => (step.kind === 'words' ? [step.role as string] : []));
  const [is, would] = [await stateOf(environment.sql, renamed), await stateOf(fresh.sql, renamed)];
  const without = (rows: readonly string[]) => rows.filter((row) => !contested.has(subjectOf(row)));
  expect({ ...is, rows: without(is.rows) }).toEqual({ ...would, rows: without(would.rows) });
  const asked = await readWorld(environment.sql);
  if (contested.size === 0)
    expect(await allowedNow(environment.sql, asked)).toEqual(await allowedNow(fresh.sql, asked));
  return contested.size;
}

/** Gives a fresh environment what people made in another, through the API. Answers with what the matrix refuses. */
async function repeatEdits({ sql }: Environment, { runtime }: Environment): Promise<ReadonlySet<string>> {
  const world = await readWorld(sql);
  for (const { key, ...words } of await sql<{ key: RoleKey; name: string; description: string }[]>`
    select key, name, description from rolecall.roles where declared_in is null`)
    await runtime.roles.create(call(), { key, ...words });
  await repeatPeople(world, runtime);
  const contested = new Set<string>();
  for (const row of rowTexts(world)) {
    const [kind, role, target, origin, sign] = row.split(' ');
    if (origin !== 'api') continue;
    const cell = kind === 'edge' ? { kind, permission: target } : { kind, included: target };
    const refusal = await makeEdit({ runtime }, { ...cell, role, give: sign === '+' } as EdgeEdit);
    if (refusal === undefined) continue;
    expect(refusal).toBe('withheld_by_layer');
    contested.add(subjectOf(row));
  }
  return contested;
}

async function repeatPeople({ users }: HistoryWorld, runtime: Runtime): Promise<void> {
  for (const [id, { active, grants, exceptions }] of users) {
    const user = id as UserId;
    await runtime.users.create(call(), { id: user, email: null, active });
    for (const { role, scope, ...terms } of grants)
      await runtime.grants.put(call(), user, role as RoleKey, scope as Scope, terms);
    for (const { permission, scope, ...terms } of exceptions)
      await runtime.exceptions.put(call(), user, permission as PermissionSlug, scope as Scope, terms);
  }
}

/**
 * Declares what people changed past the matrix by the layer that `pull` writes: where it was changed nobody gains or loses
 * anything, and where it never was, people may do the same. What a layer withholds no other can give, and is left out.
 */
async function pullInto(
  environment: Environment,
  other: Environment,
  { last }: MatrixHistory,
): Promise<void> {
  const { matrix, matrixRecord } = environment.runtime;
  const { deviations, layers: ids } = await matrixRecord.drift(call());
  const remarked = deviations.map((deviation) => ({ deviation, remark: 'by hand' }));
  const pulled = renderLayer('pulled', ids.slice(1), remarked);
  const texts = [...textsOf(last.layers), { name: 'pulled.yaml', text: pulled }];
  const { layers } = parseMatrixFiles(texts, builtinLayer);
  const { value } = await matrix.apply(call(), layers);
  expect(value).toMatchObject({ gains: [], losses: [], conflicts: [] });
  const left = (await matrixRecord.drift(call())).deviations;
  expect(left.length).toBe(pulled.match(/^# .* withholds /gm)?.length ?? 0);
  expect((await matrix.plan(call(), { layers })).isEmpty).toBe(true);
  if (left.length > 0) return;
  await other.runtime.matrix.apply(call(), layers);
  const world = await readWorld(environment.sql);
  await repeatPeople(world, other.runtime);
  expect(await allowedNow(other.sql, world)).toEqual(await allowedNow(environment.sql, world));
}

/** Everything of roles and permissions but what is retired, and tombstones where nothing is given. */
async function stateOf(sql: postgres.Sql, renamed: readonly string[]) {
  const world = await readWorld(sql);
  const rows = rowTexts(world);
  const given = new Set([...rows].filter((row) => row.endsWith(' +')).map(subjectOf));
  return {
    permissions: await sql`
      select slug, description, declared_in from rolecall.permissions where retired_at is null order by slug`,
    roles: await sql`
      select key, is_system, declared_in, case when key <> all(${[...renamed]}) then row(name, description) end as words
      from rolecall.roles order by key`,
    layers: await sql`select id, position, content_hash from rolecall.matrix_layers order by position`,
    rows: [...rows].filter((row) => row.endsWith(' +') || given.has(subjectOf(row))).sort(),
  };
}

/** The edge or include that a row is about. */
function subjectOf(row: string): string {
  return row.split(' ').slice(0, 3).join(' ');
}
