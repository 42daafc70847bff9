import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UserAccess } from '../../../src/domain/decision/user-access.ts';
import type { PermissionSlug, Scope, UserId } from '../../../src/domain/ids.ts';
import { catalogueAfter, catalogueOf } from '../../../src/domain/matrix/after.ts';
import type { LiveMatrix } from '../../../src/domain/matrix/changes.ts';
import { diffMatrix } from '../../../src/domain/matrix/diff.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { concernOf, matrixImpactOf } from '../../../src/domain/matrix/impact.ts';
import type { EdgeRow, IncludeRow } from '../../../src/domain/matrix/layers.ts';
import { changeByApi } from '../../../src/domain/origins.ts';
import { long, summarize } from '../../support/long-run.ts';
import {
  type Application,
  applications,
  type EdgeEdit,
  edgeEdits,
  keys,
  matrices,
  slugs,
} from '../../support/matrix-draws.ts';
import { referenceOutcome, rowTexts, standing, subjectsOf } from '../../support/matrix-reference.ts';
import { applyChanges, nothing } from './applying.ts';

const histories = long ? 10_000 : 500;

const steps: fc.Arbitrary<(Application | EdgeEdit)[]> = fc.array(
  fc.oneof({ weight: 1, arbitrary: applications }, { weight: 2, arbitrary: edgeEdits }),
  { minLength: 3, maxLength: 9 },
);

/** What somebody does through the API, as `services/role-edges.ts` does it. */
function changeLive(live: LiveMatrix, step: EdgeEdit): LiveMatrix {
  const holder = live.roles.find(({ key }) => key === step.role);
  if (!holder || holder.isSystem) return live;
  const list: (EdgeRow | IncludeRow)[] = step.kind === 'edge' ? [...live.edges] : [...live.includes];
  const target = step.kind === 'edge' ? step.permission : step.included;
  const exists =
    step.kind === 'edge'
      ? live.permissions.some(({ slug, retired }) => slug === target && !retired)
      : live.roles.some(({ key }) => key === target);
  if (!exists) return live;
  const isOwn = (row: EdgeRow | IncludeRow) =>
    row.role === step.role && ('included' in row ? row.included : row.permission) === target;
  const own = list.filter(isOwn);
  if (step.give && own.some((row) => row.withheld && row.origin !== 'api')) return live;
  const change = changeByApi(own, step.give);
  if (!change) return live;
  const { kind: _, give: __, ...cell } = step;
  const rows = list.filter((row) => !isOwn(row) || row.origin !== 'api');
  if (change.after) rows.push({ ...cell, ...change.after } as EdgeRow);
  return step.kind === 'edge'
    ? { ...live, edges: rows as EdgeRow[] }
    : { ...live, includes: rows as IncludeRow[] };
}

/** Somebody for each role, everywhere or in one place, and one with an exception beside it. */
const people: ReadonlyMap<UserId, UserAccess> = new Map(
  keys.flatMap((key) =>
    ['', 'north'].map((scope): [UserId, UserAccess] => [
      `${key}@${scope}` as UserId,
      {
        active: true,
        grants: [{ role: key, scope: scope as Scope, startsAt: null, expiresAt: null }],
        exceptions:
          scope === ''
            ? []
            : [
                {
                  permission: slugs[0] as PermissionSlug,
                  effect: 'deny',
                  scope: '' as Scope,
                  startsAt: null,
                  expiresAt: 5,
                },
              ],
      },
    ]),
  ),
);

/** What each of them may do, by the subjects that count: closures walked by hand. */
function allowed(live: LiveMatrix): Set<string> {
  const counts = standing(rowTexts(live));
  const registered = new Set(live.permissions.filter(({ retired }) => !retired).map(({ slug }) => slug));
  const may = new Set<string>();
  for (const key of keys) {
    const closure = new Set<string>([key]);
    for (const one of closure)
      for (const other of keys) if (counts.has(`include ${one} ${other}`)) closure.add(other);
    for (const slug of slugs)
      if (registered.has(slug) && [...closure].some((one) => counts.has(`edge ${one} ${slug}`)))
        for (const scope of ['', 'north']) may.add(`${key}@${scope} ${slug}`);
  }
  return may;
}

test(`over ${histories} histories of edits, applying is what plain sets say, planned as it is done, and done once (2.2, 2.8, 2.9, 0.6)`, {
  timeout: 600_000,
}, () => {
  let applications = 0;
  let conflicts = 0;
  fc.assert(
    fc.property(steps, (history) => {
      let live = nothing;
      let applied: readonly MatrixLayer[] = [];
      for (const step of history) {
        if (step.kind !== 'apply') {
          live = changeLive(live, step);
          continue;
        }
        applications += 1;
        const { layers: declared, accept } = step;
        const difference = diffMatrix({ declared, applied, live }, accept);
        const expected = referenceOutcome(rowTexts(live), applied, declared, accept);
        conflicts += expected.conflicts.size;
        const after = applyChanges(difference.changes, live);
        expect(rowTexts(after)).toEqual(expected.rows);
        expect(subjectsOf(difference.conflicts)).toEqual(expected.conflicts);
        expect(subjectsOf(difference.kept)).toEqual(expected.kept);

        // What the plan foretells is what comes to be.
        const [was, planned] = [catalogueOf(live), catalogueAfter(live, difference.changes)];
        const { permissions } = concernOf(was, planned, keys);
        const impact = matrixImpactOf(was, planned, people, permissions, 10);
        const listed = (side: typeof impact.gains) =>
          new Set(side.flatMap((one) => one.permissions.map((slug) => `${one.user} ${slug}`)));
        const [before, now] = [allowed(live), allowed(after)];
        expect(listed(impact.gains)).toEqual(new Set([...now].filter((one) => !before.has(one))));
        expect(listed(impact.losses)).toEqual(new Set([...before].filter((one) => !now.has(one))));

        live = after;
        applied = declared;
        expect(diffMatrix({ declared, applied, live }).changes).toEqual([]);
        expect(diffMatrix({ declared, applied, live }).conflicts).toEqual([]);
      }
    }),
    { numRuns: histories },
  );
  summarize('matrix histories', { histories, applications, conflicts });
  expect(conflicts).toBeGreaterThan(0);
});

test('an environment that went through every matrix of a history equals a fresh one, but for what is retired (2.2)', {
  timeout: 600_000,
}, () => {
  fc.assert(
    fc.property(fc.array(matrices, { minLength: 2, maxLength: 6 }), (versions) => {
      let live = nothing;
      let applied: readonly MatrixLayer[] = [];
      for (const declared of versions) {
        live = applyChanges(diffMatrix({ declared, applied, live }).changes, live);
        applied = declared;
      }
      const fresh = applyChanges(
        diffMatrix({ declared: applied, applied: [], live: nothing }).changes,
        nothing,
      );
      expect(rowTexts(live)).toEqual(rowTexts(fresh));
      expect(new Set(live.roles)).toEqual(new Set(fresh.roles));
      expect(new Set(live.permissions.filter(({ retired }) => !retired))).toEqual(new Set(fresh.permissions));
    }),
    { numRuns: long ? 10_000 : 500 },
  );
});
