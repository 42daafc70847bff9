import fc from 'fast-check';
import type { RoleKey } from '../../../src/domain/ids.ts';
import type { LiveMatrix } from '../../../src/domain/matrix/changes.ts';
import { sealLayer } from '../../../src/domain/matrix/content-hash.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { type PermissionName, slugOf } from '../../../src/domain/permissions.ts';

const layerIds = ['builtin', 'baseline', 'extra'];
const names = ['orders', 'bills', 'stock'].flatMap((resource) =>
  ['view', 'change', 'pay', 'view_all'].map((action) => ({ resource, action })),
);
const roleKeys = ['admin', 'user', 'viewer', 'loader', 'backend', 'zeta'] as RoleKey[];

const words = fc.constantFrom('One', 'Other');
const permission = fc
  .constantFrom(...names)
  .chain((name) => words.map((description) => ({ ...name, slug: slugOf(name), description })));
const permissions = fc.uniqueArray(permission, { selector: ({ slug }) => slug, maxLength: 8 });
const identity = fc.record({
  key: fc.constantFrom(...roleKeys),
  name: words,
  description: words,
  isSystem: fc.boolean(),
});
const identities = fc.uniqueArray(identity, { selector: ({ key }) => key, maxLength: 5 });

/** Up to three layers whose roles refer only to what one of the layers declares and include one another downwards. */
export const layers: fc.Arbitrary<MatrixLayer[]> = fc
  .subarray(layerIds)
  .chain((ids) =>
    fc.tuple(...ids.map((id) => fc.record({ id: fc.constant(id), permissions, roles: identities }))),
  )
  .chain((drafts) => {
    const slugs = [...new Set(drafts.flatMap((draft) => draft.permissions.map(({ slug }) => slug)))].sort();
    const keys = roleKeys.filter((key) =>
      drafts.some((draft) => draft.roles.some((role) => role.key === key)),
    );
    return fc.tuple(
      ...drafts.map(({ id, permissions, roles }) =>
        fc
          .tuple(
            ...roles.map((role) =>
              fc.record({
                ...constants(role),
                includes: fc.subarray(keys.slice(keys.indexOf(role.key) + 1)),
                permissions: fc.subarray(slugs),
              }),
            ),
          )
          .map((declared) => sealLayer(id, { permissions, roles: declared })),
      ),
    );
  });

/** Any state of a database: of the API, of layers that are still there and of one that is gone; includes go either way. */
export const liveMatrices: fc.Arbitrary<LiveMatrix> = fc
  .record({ permissions, roles: identities, upwards: fc.boolean() })
  .chain(({ permissions, roles, upwards }) => {
    const declaredIn = fc.constantFrom(null, ...layerIds, 'gone');
    const origin = fc.constantFrom(...layerIds, 'gone');
    const keys = roleKeys.filter((key) => roles.some((role) => role.key === key));
    if (upwards) keys.reverse();
    const includes = keys.flatMap((role, index) =>
      keys.slice(index + 1).map((included) => ({ role, included })),
    );
    const edges = keys.flatMap((role) => permissions.map(({ slug }) => ({ role, permission: slug })));
    return fc.record({
      permissions: fc.tuple(
        ...permissions.map((row) => fc.record({ ...constants(row), declaredIn, retired: fc.boolean() })),
      ),
      roles: fc.tuple(
        ...roles.map((row) => fc.record({ ...constants(row), declaredIn, held: fc.boolean() })),
      ),
      includes: rowsWithOrigins(includes, origin),
      edges: rowsWithOrigins(edges, origin),
    });
  });

/** A permission of the universe under the same slug as one of `names`, which no other generator makes. */
export const twins: readonly PermissionName[] = ['orders', 'bills', 'stock'].map((resource) => ({
  resource: `${resource}_view`,
  action: 'all',
}));

function rowsWithOrigins<Row extends object>(rows: Row[], origin: fc.Arbitrary<string>) {
  return fc
    .subarray(rows)
    .chain((some) =>
      fc.tuple(
        ...some.map((row) =>
          fc
            .uniqueArray(origin, { minLength: 1, maxLength: 3 })
            .map((origins) => origins.map((each) => ({ ...row, origin: each, withheld: false }))),
        ),
      ),
    )
    .map((each) => each.flat());
}

function constants<Row extends object>(row: Row) {
  const entries = Object.entries(row).map(([member, value]) => [member, fc.constant(value)]);
  return Object.fromEntries(entries) as { [Member in keyof Row]: fc.Arbitrary<Row[Member]> };
}
