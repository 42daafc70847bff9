import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LiveMatrix } from '../../../src/domain/matrix/changes.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { slugOf } from '../../../src/domain/permissions.ts';
import { applyChanges, changesTo, nothing } from './applying.ts';
import { layers, liveMatrices, twins } from './matrices.ts';

const runs = { numRuns: 3_000 };

/** What stands afterwards, written down as plainly as possible, each row as a text. */
function expectedAfter(declared: readonly MatrixLayer[], live: LiveMatrix): string[] {
  const rows: string[] = [];
  const declaring = <Thing>(find: (layer: MatrixLayer) => Thing | undefined) =>
    declared.flatMap((layer) => {
      const thing = find(layer);
      return thing === undefined ? [] : [{ id: layer.id, thing }];
    });

  const everyPermission = [...live.permissions, ...declared.flatMap((layer) => layer.permissions)];
  for (const slug of new Set(everyPermission.map((permission) => permission.slug))) {
    const by = declaring((layer) => layer.permissions.find((permission) => permission.slug === slug));
    const was = live.permissions.find((permission) => permission.slug === slug);
    const now = by.at(-1)?.thing ?? was;
    const declaredIn = by[0]?.id ?? was?.declaredIn;
    const retired = by.length === 0 && (was?.retired === true || was?.declaredIn !== null);
    rows.push(`permission ${now?.resource}.${now?.action} ${now?.description} ${declaredIn} ${retired}`);
  }

  const everyRole = [...live.roles, ...declared.flatMap((layer) => layer.roles)];
  for (const key of new Set(everyRole.map((role) => role.key))) {
    const by = declaring((layer) => layer.roles.find((role) => role.key === key));
    const was = live.roles.find((role) => role.key === key);
    const now = by.at(-1)?.thing ?? was;
    // A role that nobody declares and nobody holds goes.
    if (by.length === 0 && was?.declaredIn !== null && was?.held === false) continue;
    const untouched = was?.declaredIn === null && was.isSystem;
    const isSystem = by.length === 0 ? untouched : by.some(({ thing }) => thing.isSystem);
    rows.push(`role ${key} ${now?.name} ${now?.description} ${isSystem} ${by[0]?.id ?? null}`);
  }

  for (const { id, roles } of declared)
    for (const { key, includes, permissions } of roles) {
      rows.push(...includes.map((included) => `include ${key} ${included} ${id}`));
      rows.push(...permissions.map((slug) => `edge ${key} ${slug} ${id}`));
    }
  return rows.sort();
}

function rowsOf({ permissions, roles, includes, edges }: LiveMatrix): string[] {
  return [
    ...permissions.map(
      (row) => `permission ${row.resource}.${row.action} ${row.description} ${row.declaredIn} ${row.retired}`,
    ),
    ...roles.map((row) => `role ${row.key} ${row.name} ${row.description} ${row.isSystem} ${row.declaredIn}`),
    ...includes.map((row) => `include ${row.role} ${row.included} ${row.origin}`),
    ...edges.map((row) => `edge ${row.role} ${row.permission} ${row.origin}`),
  ].sort();
}

describe('for any layers and any state of the database, the difference', () => {
  it('can be applied step by step, and makes the state say what the layers say', () => {
    fc.assert(
      fc.property(layers, liveMatrices, (declared, live) => {
        const applied = applyChanges(changesTo(declared, live), live);
        expect(rowsOf(applied)).toEqual(expectedAfter(declared, live));
      }),
      runs,
    );
  });

  it('is empty once it has been applied (requirement 0.6)', () => {
    fc.assert(
      fc.property(layers, liveMatrices, (declared, live) => {
        const applied = applyChanges(changesTo(declared, live), live);
        expect(changesTo(declared, applied)).toEqual([]);
      }),
      runs,
    );
  });

  it('leads back: what other layers changed is undone by applying the first again', () => {
    fc.assert(
      fc.property(layers, layers, (first, second) => {
        const start = applyChanges(changesTo(first, nothing), nothing);
        const between = applyChanges(changesTo(second, start), start);
        const back = applyChanges(changesTo(first, between), between);
        expect(rowsOf(back)).toEqual(expectedAfter(first, between));
        expect(new Set(rowsOf(back))).toEqual(new Set([...rowsOf(back), ...rowsOf(start)]));
      }),
      runs,
    );
  });

  it('is in one order, whatever the order of rows and declarations', () => {
    const shuffled = (rows: readonly unknown[]) => fc.shuffledSubarray([...rows], { minLength: rows.length });
    const inputs = fc.tuple(layers, liveMatrices).chain(([declared, live]) =>
      fc.record({
        declared: fc.constant(declared),
        live: fc.constant(live),
        otherLive: fc.record({
          permissions: shuffled(live.permissions),
          roles: shuffled(live.roles),
          includes: shuffled(live.includes),
          edges: shuffled(live.edges),
        }),
      }),
    );
    fc.assert(
      fc.property(inputs, ({ declared, live, otherLive }) => {
        const reversed = declared.map((layer) => ({
          ...layer,
          permissions: layer.permissions.toReversed(),
          roles: layer.roles
            .toReversed()
            .map((role) => ({ ...role, permissions: role.permissions.toReversed() })),
        }));
        expect(changesTo(reversed, otherLive as LiveMatrix)).toEqual(changesTo(declared, live));
      }),
      runs,
    );
  });

  it('is refused exactly when a declared slug belongs to another permission', () => {
    fc.assert(
      fc.property(layers, fc.subarray([...twins]), fc.boolean(), (declared, held, retired) => {
        const rows = held.map((name) => ({
          ...name,
          slug: slugOf(name),
          description: '',
          declaredIn: null,
          retired,
        }));
        const declaredSlugs = declared.flatMap((layer) => layer.permissions.map(({ slug }) => slug));
        const live = { ...nothing, permissions: rows };
        if (rows.some(({ slug }) => declaredSlugs.includes(slug)))
          expect(() => changesTo(declared, live)).toThrow(/ share the slug /);
        else expect(changesTo(declared, applyChanges(changesTo(declared, live), live))).toEqual([]);
      }),
      runs,
    );
  });
});
