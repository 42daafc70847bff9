/** Random histories of a matrix and of what people do past it, played against the services, and what must be true of them. */
import fc from 'fast-check';
import type postgres from 'postgres';
import { expect } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import { builtinLayer } from '../../src/domain/matrix/builtin.ts';
import type { MatrixLayer } from '../../src/domain/matrix/document.ts';
import { readWorld } from './history-stage.ts';
import type { HistoryWorld } from './history-world.ts';
import { type Application, applicationsAmong, matrices } from './matrix-draws.ts';
import { call, type Edit, type Environment, edits, makeEdit, refusalOf, users } from './matrix-edits.ts';
import { referenceOutcome, rowTexts, subjectsOf } from './matrix-reference.ts';
import { allowedNow, besides, listed, rightsIn } from './rights.ts';

export interface MatrixHistory {
  readonly steps: readonly (Application | Edit)[];
  /** What is applied in the end, which settles everything. */
  readonly last: Application;
}

export const matrixHistories: fc.Arbitrary<MatrixHistory> = fc
  .array(matrices, { minLength: 2, maxLength: 4 })
  .chain((pool) => historiesOf(applicationsAmong(pool)));

function historiesOf(applications: fc.Arbitrary<Application>): fc.Arbitrary<MatrixHistory> {
  return fc.record({
    steps: fc
      .tuple(
        applications,
        fc.array(fc.oneof({ weight: 1, arbitrary: applications }, { weight: 4, arbitrary: edits }), {
          minLength: 8,
          maxLength: 20,
        }),
      )
      .map(([first, others]) => [first, ...others]),
    last: applications.map((last) => ({ ...last, accept: last.accept ?? 'live' })),
  });
}

/** What a history did, so that it is known that it did something. */
export interface Tally {
  applications: number;
  edits: number;
  refusedEdits: number;
  conflicts: number;
  gains: number;
  losses: number;
}

export const emptyTally = (): Tally => ({
  applications: 0,
  edits: 0,
  refusedEdits: 0,
  conflicts: 0,
  gains: 0,
  losses: 0,
});

/** What may be in the way of an edit: what it names is not there, or the matrix says otherwise. */
const refusals = ['unknown_role', 'unknown_permission', 'managed_by_matrix', 'withheld_by_layer'];

/** Plays a history in an environment that has the shipped baseline. Throws at the first thing that is not as it must be. */
export async function playMatrixHistory(
  environment: Environment,
  { steps, last }: MatrixHistory,
  tally: Tally,
): Promise<void> {
  for (const id of users) await environment.runtime.users.create(call(), { id, email: null, active: true });
  let applied: readonly MatrixLayer[] = [builtinLayer, await readMatrixFile(shippedBaseline)];
  for (const step of [...steps, last]) {
    if (step.kind === 'apply') {
      applied = await applyAsPlanned(environment, applied, step, tally);
      continue;
    }
    const refusal = await makeEdit(environment, step);
    if (refusal !== undefined) expect(refusals).toContain(refusal);
    tally[refusal === undefined ? 'edits' : 'refusedEdits'] += 1;
  }
}

/** Plans, applies, and compares with what came of it. Answers with the layers that are applied now. */
async function applyAsPlanned(
  { runtime, sql }: Environment,
  applied: readonly MatrixLayer[],
  { layers, accept }: Application,
  tally: Tally,
): Promise<readonly MatrixLayer[]> {
  const { matrix } = runtime;
  const declared = [builtinLayer, ...layers];
  const [before, written] = [await readWorld(sql), await writesIn(sql)];
  const expected = referenceOutcome(rowTexts(before), applied, declared, accept);
  const plan = await matrix.plan(call(), { layers, accept });
  const wouldLose = plan.losses.length > 0;
  const mustChoose = plan.conflicts.length > 0 && accept === undefined;
  const terms = { plan, accept };
  if (mustChoose || wouldLose)
    expect(await refusalOf(matrix.apply(call(), layers, terms))).toBe(
      mustChoose ? 'matrix_conflict' : 'loss_not_accepted',
    );
  expect(await writesIn(sql)).toEqual(written);
  expect(subjectsOf(plan.conflicts)).toEqual(expected.conflicts);
  expect(subjectsOf(plan.kept)).toEqual(expected.kept);
  if (mustChoose) return applied;

  const { value, changed, revision } = await matrix.apply(call(), layers, { ...terms, allowLoss: true });
  expect(value).toEqual(plan);
  expect(changed).toBe(!plan.isEmpty);
  const after = await readWorld(sql);
  expect(rowTexts(after)).toEqual(expected.rows);
  expect([...after.roles.keys()].sort()).toEqual(rolesAfter(before, declared));
  const now = Date.now();
  const [had, has] = [rightsIn(before, before, now), rightsIn(after, before, now)];
  expect(listed(plan.gains)).toEqual(besides(has, had));
  expect(listed(plan.losses)).toEqual(besides(had, has));
  expect(await allowedNow(sql, before)).toEqual(has.get(now));

  const done = await writesIn(sql);
  expect(await matrix.apply(call(), layers)).toMatchObject({ changed: false, revision });
  expect(await matrix.plan(call(), { layers })).toMatchObject({
    isEmpty: true,
    changes: [],
    gains: [],
    losses: [],
    conflicts: [],
  });
  expect(await writesIn(sql)).toEqual(done);
  tally.applications += 1;
  tally.conflicts += plan.conflicts.length;
  tally.gains += plan.gains.length;
  tally.losses += plan.losses.length;
  return declared;
}

/** The roles that are declared, and of those that are not whatever somebody made, holds or has changed. */
function rolesAfter(before: HistoryWorld, declared: readonly MatrixLayer[]): readonly string[] {
  const rows = [...before.includes, ...before.edges].filter(({ origin }) => origin === 'api');
  const touched = rows.flatMap((row) => ('included' in row ? [row.role, row.included] : [row.role]));
  const held = [...before.users.values()].flatMap(({ grants }) => grants.map(({ role }) => role));
  const made = [...before.roles].flatMap(([key, role]) => (role.declared ? [] : [key]));
  const present = [...touched, ...held, ...made].filter((key) => before.roles.has(key));
  const wanted = declared.flatMap(({ roles }) => roles.map(({ key }) => key as string));
  return [...new Set([...present, ...wanted])].sort();
}

/** Moves with every write. */
async function writesIn(sql: postgres.Sql): Promise<unknown> {
  const [row] = await sql`
    select value, catalogue_value, (select count(*) from rolecall.journal) as entries,
      (select json_agg(layers order by id) from rolecall.matrix_layers as layers) as layers
    from rolecall.revision`;
  return row;
}
