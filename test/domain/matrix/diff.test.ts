import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PermissionSlug, RoleKey } from '../../../src/domain/ids.ts';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import type { LiveMatrix, MatrixChange } from '../../../src/domain/matrix/changes.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { applyChanges, changesTo, nothing } from './applying.ts';
import { read } from './reading.ts';

const before = read(`version: 1
permissions:
  orders: {view: See an order, change: Change an order}
  stock: {count: Count}
roles:
  viewer: {name: Viewer, description: Reads, system: true, permissions: [orders.view]}
  loader: {name: Loader, description: Loads, includes: [viewer], permissions: [stock.count]}
`);

const after = read(`version: 1
permissions:
  orders: {view: See any order, change: Change an order}
  bills: {pay: Pay}
roles:
  viewer: {name: Reader, description: Reads, includes: [user], permissions: ["*"]}
  user: {name: User, description: Anybody}
`);

function live(...layers: MatrixLayer[]): LiveMatrix {
  return applyChanges(changesTo(layers, nothing), nothing);
}

describe('the difference between what is declared and what is', () => {
  it('is everything on a fresh database, and nothing once that is applied', () => {
    const text = readFileSync(new URL('../../../matrix/baseline.yaml', import.meta.url), 'utf8');
    const layers = [builtinLayer, read(text)];
    const changes = changesTo(layers, nothing);
    const count = (kind: MatrixChange['kind']) => changes.filter((change) => change.kind === kind).length;
    const permissions = 50 + builtinLayer.permissions.length;
    expect(count('permission_declared')).toBe(permissions);
    expect(count('role_declared')).toBe(7);
    expect(count('include_added')).toBe(4);
    expect(count('edge_added')).toBe(changes.length - permissions - 7 - 4);
    expect(changesTo(layers, applyChanges(changes, nothing))).toEqual([]);
  });

  it('has every kind of change, in the order in which they can be made', () => {
    expect(changesTo([after], live(before))).toEqual([
      {
        kind: 'permission_declared',
        permission: { resource: 'bills', action: 'pay', slug: 'bills_pay', description: 'Pay' },
        layer: 'baseline',
        revives: false,
      },
      {
        kind: 'permission_described',
        slug: 'orders_view',
        before: 'See an order',
        after: 'See any order',
      },
      {
        kind: 'role_declared',
        role: { key: 'user', name: 'User', description: 'Anybody', isSystem: false },
        layer: 'baseline',
        revives: false,
      },
      {
        kind: 'role_described',
        key: 'viewer',
        before: { key: 'viewer', name: 'Viewer', description: 'Reads', isSystem: true },
        after: { key: 'viewer', name: 'Reader', description: 'Reads', isSystem: false },
      },
      { kind: 'include_removed', role: 'loader', included: 'viewer', origin: 'baseline', withheld: false },
      { kind: 'include_added', role: 'viewer', included: 'user', origin: 'baseline', withheld: false },
      {
        kind: 'edge_removed',
        role: 'loader',
        permission: 'stock_count',
        origin: 'baseline',
        withheld: false,
      },
      { kind: 'edge_added', role: 'viewer', permission: 'bills_pay', origin: 'baseline', withheld: false },
      {
        kind: 'edge_added',
        role: 'viewer',
        permission: 'orders_change',
        origin: 'baseline',
        withheld: false,
      },
      { kind: 'role_removed', key: 'loader' },
      { kind: 'permission_retired', slug: 'stock_count' },
    ]);
  });

  it('leads from any state to the same one as from none (requirement 2.2), but for what is retired', () => {
    const upgraded = applyChanges(changesTo([after], live(before)), live(before));
    const current = { ...upgraded, permissions: upgraded.permissions.filter(({ retired }) => !retired) };
    const expected = live(after);
    expect(new Set(current.permissions)).toEqual(new Set(expected.permissions));
    expect(new Set(current.includes)).toEqual(new Set(expected.includes));
    expect(new Set(current.edges)).toEqual(new Set(expected.edges));
    expect(new Set(upgraded.roles)).toEqual(new Set(expected.roles));
  });

  it('carries nothing along that the rows of the database have besides', () => {
    const rows = live(before);
    const withKeys = {
      permissions: rows.permissions.map((row) => ({ ...row, pk: 1 })),
      roles: rows.roles.map((row) => ({ ...row, pk: 1 })),
      includes: rows.includes.map((row) => ({ ...row, pk: 1 })),
      edges: rows.edges.map((row) => ({ ...row, pk: 1 })),
    };
    expect(changesTo([after], withKeys)).toEqual(changesTo([after], rows));
  });
});

describe('a role in two layers', () => {
  const top = read(`version: 1
permissions: {orders: {view: See}}
roles:
  admin: {name: Chief, description: Everything, permissions: [orders.view, rolecall.check]}
`);
  const both = [builtinLayer, top];

  it('has the words of the later, is a system role if any says so, and belongs to the first', () => {
    expect(live(...both).roles).toEqual([
      {
        key: 'admin',
        name: 'Chief',
        description: 'Everything',
        isSystem: true,
        declaredIn: 'builtin',
        held: false,
      },
    ]);
  });

  it('keeps each layer as an origin of its own, so that taking one away leaves the other (requirement 2.8)', () => {
    const origins = (matrix: LiveMatrix) =>
      matrix.edges.filter(({ permission }) => permission === 'rolecall_check').map(({ origin }) => origin);
    expect(origins(live(...both))).toEqual(['baseline', 'builtin']);
    expect(origins(applyChanges(changesTo([builtinLayer], live(...both)), live(...both)))).toEqual([
      'builtin',
    ]);
  });

  it('passes to the other when the first lets it go', () => {
    expect(changesTo([top], live(...both))).toContainEqual({
      kind: 'role_declared',
      role: { key: 'admin', name: 'Chief', description: 'Everything', isSystem: false },
      layer: 'baseline',
      revives: true,
    });
  });
});

describe('what exists already', () => {
  const viewOrder = {
    resource: 'orders',
    action: 'view',
    slug: 'orders_view' as PermissionSlug,
    description: 'See an order',
  };
  const viewer = { key: 'viewer' as RoleKey, name: 'Viewer', description: 'Reads', isSystem: true };

  it.each([
    ['made through the API', { declaredIn: null, retired: false }],
    ['retired by the matrix', { declaredIn: 'baseline', retired: true }],
    ['retired through the API', { declaredIn: null, retired: true }],
  ])('a permission %s is revived (requirement 2.10)', (_, state) => {
    const changes = changesTo([before], { ...nothing, permissions: [{ ...viewOrder, ...state }] });
    expect(changes).toContainEqual({
      kind: 'permission_declared',
      permission: viewOrder,
      layer: 'baseline',
      revives: true,
    });
  });

  it('a role made through the API is taken over', () => {
    const changes = changesTo([before], {
      ...nothing,
      roles: [{ ...viewer, isSystem: false, declaredIn: null, held: false }],
    });
    expect(changes).toContainEqual({ kind: 'role_declared', role: viewer, layer: 'baseline', revives: true });
  });

  it('through the API only is left alone', () => {
    const other = { resource: 'x', action: 'y', slug: 'x_y' as PermissionSlug, description: '' };
    const matrix = {
      ...nothing,
      permissions: [{ ...other, declaredIn: null, retired: false }],
      roles: [{ ...viewer, declaredIn: null, held: false }],
    };
    expect(changesTo([], matrix)).toEqual([]);
  });

  it('retired by the matrix is not retired again', () => {
    const retired = { ...viewOrder, declaredIn: 'baseline', retired: true };
    expect(changesTo([], { ...nothing, permissions: [retired] })).toEqual([]);
  });

  it.each([true, false])('under the slug of a declared permission is a refusal, retired: %s', (retired) => {
    const twin = {
      resource: 'a',
      action: 'b_c',
      slug: 'a_b_c' as PermissionSlug,
      description: '',
      declaredIn: null,
      retired,
    };
    const layer = read('version: 1\npermissions: {a_b: {c: C}}\nroles: {}\n');
    expect(() => changesTo([layer], { ...nothing, permissions: [twin] })).toThrow(
      expect.objectContaining({
        code: 'slug_collision',
        message: '"a_b.c" and "a.b_c" share the slug "a_b_c"',
      }),
    );
  });

  it('in one layer under the slug of another layer is a refusal', () => {
    const one = read('version: 1\npermissions: {a_b: {c: C}}\nroles: {}\n');
    const other = read('version: 1\npermissions: {a: {b_c: C}}\nroles: {}\n');
    expect(() => changesTo([one, { ...other, id: 'other' }], nothing)).toThrow(
      expect.objectContaining({
        code: 'slug_collision',
        message: '"a.b_c" and "a_b.c" share the slug "a_b_c"',
      }),
    );
  });
});
