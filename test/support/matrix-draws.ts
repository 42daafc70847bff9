/** Random matrices over a few names, and random changes of single edges past them. */
import fc from 'fast-check';
import type { PermissionSlug, RoleKey } from '../../src/domain/ids.ts';
import type { Preference } from '../../src/domain/matrix/changes.ts';
import { sealLayer } from '../../src/domain/matrix/content-hash.ts';
import type { MatrixLayer } from '../../src/domain/matrix/document.ts';
import type { MatrixText } from '../../src/domain/matrix/file-header.ts';
import { slugOf } from '../../src/domain/permissions.ts';

const names = ['view', 'load', 'pack'].map((action) => ({ resource: 'orders', action }));
export const slugs = names.map(slugOf);
/** A role includes only those after it, so that no history goes round. */
export const keys = ['clerk', 'loader', 'viewer'] as RoleKey[];

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
export const matrices: fc.Arbitrary<readonly MatrixLayer[]> = fc
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

/** The same matrix as files: JSON is YAML. */
export function textsOf(layers: readonly MatrixLayer[]): readonly MatrixText[] {
  return layers.map(({ id, permissions, roles, amendments }) => {
    const amended = (member: 'add' | 'withhold' | 'include' | 'exclude') =>
      Object.fromEntries(
        amendments.filter((one) => one[member].length > 0).map((one) => [one.role, one[member]]),
      );
    const text =
      id === 'baseline'
        ? {
            version: 1,
            permissions: {
              orders: Object.fromEntries(permissions.map(({ action, description }) => [action, description])),
            },
            roles: Object.fromEntries(
              roles.map(({ key, isSystem: system, ...role }) => [key, { ...role, system }]),
            ),
          }
        : {
            version: 1,
            id,
            add: amended('add'),
            withhold: amended('withhold'),
            include: amended('include'),
            exclude: amended('exclude'),
          };
    return { name: `${id}.yaml`, text: JSON.stringify(text) };
  });
}

/** A matrix is applied. */
export interface Application {
  readonly kind: 'apply';
  readonly layers: readonly MatrixLayer[];
  readonly accept: Preference | undefined;
}

export const applications = applicationsOf(matrices);

/** One of these matrices at a time, with some of its layers: the same may come again, or a layer go and nothing else. */
export function applicationsAmong(pool: readonly (readonly MatrixLayer[])[]): fc.Arbitrary<Application> {
  const drawn = fc.tuple(fc.constantFrom(...pool), fc.subarray(['one', 'two']));
  return applicationsOf(
    drawn.map(([layers, ids]) => layers.filter(({ id }) => id === 'baseline' || ids.includes(id))),
  );
}

function applicationsOf(layers: fc.Arbitrary<readonly MatrixLayer[]>): fc.Arbitrary<Application> {
  return fc.record({
    kind: fc.constant('apply' as const),
    layers,
    accept: fc.constantFrom('matrix' as const, 'live' as const, undefined),
  });
}

/** Somebody gives or takes an edge or include through the API. */
export type EdgeEdit =
  | {
      readonly kind: 'edge';
      readonly role: RoleKey;
      readonly permission: PermissionSlug;
      readonly give: boolean;
    }
  | { readonly kind: 'include'; readonly role: RoleKey; readonly included: RoleKey; readonly give: boolean };

const edges = fc.record({
  kind: fc.constant('edge' as const),
  role: fc.constantFrom(...keys),
  permission: fc.constantFrom(...slugs),
  give: fc.boolean(),
});

const includes = fc
  .constantFrom(...keys.flatMap((one, n) => keys.slice(n + 1).map((other) => [one, other] as const)))
  .chain(([one, other]) =>
    fc.record({
      kind: fc.constant('include' as const),
      role: fc.constant(one),
      included: fc.constant(other),
      give: fc.boolean(),
    }),
  );

export const edgeEdits: fc.Arbitrary<EdgeEdit> = fc.oneof(
  { weight: 3, arbitrary: edges },
  { weight: 1, arbitrary: includes },
);
