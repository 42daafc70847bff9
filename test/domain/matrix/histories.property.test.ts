import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UserAccess } from '../../../src/domain/decision/user-access.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../../src/domain/ids.ts';
import { catalogueAfter, catalogueOf } from '../../../src/domain/matrix/after.ts';
import type { LiveMatrix } from '../../../src/domain/matrix/changes.ts';
import { sealLayer } from '../../../src/domain/matrix/content-hash.ts';
import { diffMatrix } from '../../../src/domain/matrix/diff.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { concernOf, impactOf } from '../../../src/domain/matrix/impact.ts';
import { type EdgeRow, type IncludeRow, mergeLayers } from '../../../src/domain/matrix/layers.ts';
import { changeByApi } from '../../../src/domain/origins.ts';
import { slugOf } from '../../../src/domain/permissions.ts';
import { long, summarize } from '../../support/long-run.ts';
import { referenceApply, standing } from '../../support/matrix-reference.ts';
import { applyChanges, nothing } from './applying.ts';

const histories = long ? 10_000 : 500;

const names = ['view', 'load', 'pack'].map((action) => ({ resource: 'orders', action }));
const slugs = names.map(slugOf);
/** A role includes only those after it, so that no history goes round. */
const keys = ['clerk', 'loader', 'viewer'] as RoleKey[];

const subset = <T>(all: readonly T[]) => fc.subarray([...all]);
const role = (key: RoleKey) =>
  fc.record({
    key: fc.constant(key),
    name: fc.constantFrom('One', 'Other'),
    description: fc.constant('x'),
    isSystem: fc.integer({ max: 9, min: 0 }).map((n) => n === 0),
    includes: subset(keys.slice(keys.indexOf(key) + 1)),
    permissions: subset(slugs),
  });

/** A baseline that declares most of everything, and up to two layers that add and withhold what is left of it. */
const matrices: fc.Arbitrary<readonly MatrixLayer[]> = fc
  .record({
    permissions: fc.subarray(names, { minLength: 2 }),
    roles: fc.tuple(...keys.map((key) => fc.option(role(key), { freq: 6 }))),
    layers: fc.subarray(['one', 'two']),
    picks: fc.array(fc.nat({ max: 3 }), { minLength: 24, maxLength: 24 }),
  })
  .map(({ permissions, roles, layers, picks }) => {
    const declared = permissions.map((name) => ({ ...name, slug: slugOf(name), description: 'x' }));
    const known = new Set(declared.map(({ slug }) => slug));
    const present = roles.filter((one) => one !== null);
    const isRole = (key: RoleKey) => present.some((one) => one.key === key);
    const baseline = sealLayer('baseline', {
      permissions: declared,
      roles: present.map((one) => ({
        ...one,
        includes: one.includes.filter(isRole),
        permissions: one.permissions.filter((slug) => known.has(slug)),
      })),
    });
    const above = layers.map((id, index) => {
      const pick = (place: number, sign: number) => picks[index * 12 + (place % 12)] === sign;
      return sealLayer(id, {
        permissions: [],
        roles: [],
        amendments: present.map(({ key }, at) => {
          const cells = [...known].map((slug, n) => ({ slug, place: at * 3 + n }));
          const included = keys.filter((other) => other > key && isRole(other));
          return {
            role: key,
            add: cells.filter(({ place }) => pick(place, 1)).map(({ slug }) => slug),
            withhold: cells.filter(({ place }) => pick(place, 2)).map(({ slug }) => slug),
            include: included.filter((_, n) => pick(9 + at + n, 1)),
            exclude: included.filter((_, n) => pick(9 + at + n, 2)),
          };
        }),
      });
    });
    return [baseline, ...above];
  });

type Step =
  | { kind: 'apply'; layers: readonly MatrixLayer[]; accept: 'matrix' | 'live' | undefined }
  | { kind: 'edge'; role: RoleKey; permission: PermissionSlug; give: boolean }
  | { kind: 'include'; role: RoleKey; included: RoleKey; give: boolean };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('apply' as const),
        layers: matrices,
        accept: fc.constantFrom('matrix' as const, 'live' as const, undefined),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('edge' as const),
        role: fc.constantFrom(...keys),
        permission: fc.constantFrom(...slugs),
        give: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(...keys.flatMap((one, n) => keys.slice(n + 1).map((other) => [one, other] as const)))
        .chain(([one, other]) =>
          fc.record({
            kind: fc.constant('include' as const),
            role: fc.constant(one),
            included: fc.constant(other),
            give: fc.boolean(),
          }),
        ),
    },
  ),
  { minLength: 3, maxLength: 9 },
);

const textOf = (row: EdgeRow | IncludeRow) =>
  'included' in row
    ? `include ${row.role} ${row.included} ${row.origin} ${row.withheld ? '-' : '+'}`
    : `edge ${row.role} ${row.permission} ${row.origin} ${row.withheld ? '-' : '+'}`;
const rowsOf = ({ includes, edges }: Pick<LiveMatrix, 'includes' | 'edges'>) =>
  new Set([...includes, ...edges].map(textOf));

/** What somebody does through the API, as `services/role-edges.ts` does it. */
function changeLive(live: LiveMatrix, step: Exclude<Step, { kind: 'apply' }>): LiveMatrix {
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
  const counts = standing(rowsOf(live));
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
        const merged = mergeLayers(declared);
        const isMoot = (holder: string, target: string) =>
          merged.roles.get(holder as RoleKey)?.role.isSystem === true ||
          (slugs.includes(target as PermissionSlug) && !merged.permissions.has(target as PermissionSlug));
        const expected = referenceApply(
          { rows: rowsOf(live), applied: rowsOf(mergeLayers(applied)) },
          rowsOf(merged),
          isMoot,
          accept,
        );
        conflicts += expected.conflicts.size;
        const after = applyChanges(difference.changes, live);
        expect(rowsOf(after)).toEqual(expected.rows);
        const subjects = (list: typeof difference.kept) =>
          new Set(
            list.flatMap((one) =>
              one.kind === 'edge'
                ? [`edge ${one.role} ${one.permission}`]
                : one.kind === 'include'
                  ? [`include ${one.role} ${one.included}`]
                  : [],
            ),
          );
        expect(subjects(difference.conflicts)).toEqual(expected.conflicts);
        expect(subjects(difference.kept)).toEqual(expected.kept);

        // What the plan foretells is what comes to be.
        const [was, planned] = [catalogueOf(live), catalogueAfter(live, difference.changes)];
        const { permissions } = concernOf(was, planned, keys);
        const impact = impactOf(was, planned, people, permissions, 10);
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
      expect(rowsOf(live)).toEqual(rowsOf(fresh));
      expect(new Set(live.roles)).toEqual(new Set(fresh.roles));
      expect(new Set(live.permissions.filter(({ retired }) => !retired))).toEqual(new Set(fresh.permissions));
    }),
    { numRuns: long ? 10_000 : 500 },
  );
});
