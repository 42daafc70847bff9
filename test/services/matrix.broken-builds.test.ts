import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import type { TestDatabase } from '../support/database.ts';
import { checkMatrixHistory, createMigratedDatabase } from '../support/matrix-fresh.ts';
import { emptyTally, matrixHistories } from '../support/matrix-history.ts';
import { type Build, soundBuild } from '../support/replicas.ts';

/** Always the same histories, so that it is known that they tell. */
const drawn = fc.sample(matrixHistories, { seed: 5, numRuns: 10 });

const planning = 'services/matrix/planning.ts';
const making = 'services/matrix/making.ts';
const cells = 'domain/matrix/cells.ts';
const impact = 'domain/matrix/impact.ts';

/** Each takes one rule out of planning or applying. */
const breakages: Readonly<Record<string, Breakage>> = {
  'what somebody took away is given again by applying': {
    file: cells,
    replace: 'if (api === undefined) return { rows: declared };',
    by: 'if (api === undefined || api.withheld) return { rows: declared };',
  },
  'reversing a layer takes away what people gave too': {
    file: cells,
    replace:
      'if (!stands(live) || !declared.some((row) => row.withheld)) return { rows: [...declared, api] };',
    by: 'if (!stands(live) || !declared.some((row) => row.withheld)) return { rows: declared };',
  },
  'edges of every layer are written as those of the baseline': {
    file: making,
    replace: 'rows.map(({ permissionPk, withheld }) => ({ permissionPk, origin, withheld })),',
    by: "rows.map(({ permissionPk, withheld }) => ({ permissionPk, origin: 'baseline', withheld })),",
  },
  'nobody is asked about what both changed': {
    file: 'services/matrix/matrix.ts',
    replace: 'if (plan.conflicts.length > 0 && accept === undefined)',
    by: 'if (plan.conflicts.length < 0)',
  },
  'a plan knows only what holds now': {
    file: impact,
    replace: 'const instants = [now, ...new Set(bounds.filter(Number.isFinite))];',
    by: 'const instants = [now];',
  },
  'a plan looks at no scope but everywhere': {
    file: impact,
    replace: 'const scopes = [...new Set(held.map(({ scope }) => scope))].sort();',
    by: "const scopes = [...new Set(held.map(() => '' as Scope))];",
  },
  'roles that include a changed one are not looked at': {
    file: impact,
    replace: 'if (differing.length > 0) concerned.push(role);',
    by: 'if (differing.some((slug) => before.hasEdge(role, slug) !== after.hasEdge(role, slug))) concerned.push(role);',
  },
  'layers are written anew by every application': {
    file: planning,
    replace: 'moved: declared.filter(({ id, contentHash }) => hashes.get(id) !== contentHash),',
    by: 'moved: declared,',
  },
  'layers that are gone are kept': {
    file: 'services/matrix/matrix.ts',
    replace: 'if (moved.length + gone.length > 0) await replaceLayers',
    by: 'if (moved.length > 0) await replaceLayers',
  },
  'roles that nobody declares or holds stay': {
    file: making,
    replace: 'await deleteRole(handle, role.pk);',
    by: 'await updateRole(handle, role.pk, { declaredIn: null });',
  },
};

let migrated: TestDatabase;
beforeAll(async () => {
  migrated = await createMigratedDatabase();
});
afterAll(() => migrated.drop());

it.concurrent.for(Object.entries(breakages))(
  'a build is found out in which $0',
  { timeout: 600_000 },
  async ([, breakage], { annotate }) => {
    const finding = await withBrokenBuild(breakage, async (load) =>
      firstFinding(await load<Pick<Build, 'openRuntime'>>('runtime.ts')),
    );
    expect(finding).toBeDefined();
    await annotate(String(finding));
  },
);

it('the sound build passes what finds the broken ones out', { timeout: 600_000 }, async () => {
  expect(await firstFinding(soundBuild)).toBeUndefined();
});

async function firstFinding({ openRuntime }: Pick<Build, 'openRuntime'>): Promise<string | undefined> {
  for (const [index, history] of drawn.entries())
    try {
      await checkMatrixHistory(migrated, history, emptyTally(), openRuntime);
    } catch (error) {
      return `in history ${index + 1}: ${(error as Error).message.slice(0, 300)}`;
    }
  return undefined;
}
