import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { read, roleOf } from './reading.ts';

const shop = `version: 1
permissions:
  orders:
    view_order: See an order
    change_order: Change an order
  customers:
    view_customer: See a customer
roles:
  viewer:
    name: Viewer
    description: Reads
    permissions: [orders.view_order]
  manager:
    name: Manager
    description: Runs
    system: true
    includes: [viewer]
    permissions: ["orders.*", "customers:view_customer", rolecall_check]
`;

describe('a matrix file', () => {
  it('is read into a layer, everything sorted', () => {
    expect(read(shop)).toEqual({
      id: 'baseline',
      dependsOn: [],
      amendments: [],
      permissions: [
        {
          resource: 'customers',
          action: 'view_customer',
          slug: 'customers_view_customer',
          description: 'See a customer',
        },
        {
          resource: 'orders',
          action: 'change_order',
          slug: 'orders_change_order',
          description: 'Change an order',
        },
        { resource: 'orders', action: 'view_order', slug: 'orders_view_order', description: 'See an order' },
      ],
      roles: [
        {
          key: 'manager',
          name: 'Manager',
          description: 'Runs',
          isSystem: true,
          includes: ['viewer'],
          permissions: [
            'customers_view_customer',
            'orders_change_order',
            'orders_view_order',
            'rolecall_check',
          ],
        },
        {
          key: 'viewer',
          name: 'Viewer',
          description: 'Reads',
          isSystem: false,
          includes: [],
          permissions: ['orders_view_order'],
        },
      ],
      contentHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('may be JSON, begin with a byte order mark, or have Windows line ends', () => {
    const json = `\uFEFF{"version": 1, "permissions": {"orders": {"view": "See"}}, "roles": {}}`;
    expect(read(json).permissions).toHaveLength(1);
    expect(read(shop.replaceAll('\n', '\r\n'))).toEqual(read(shop));
  });

  it('may declare nothing at all', () => {
    expect(read('version: 1\npermissions: {}\nroles: {}\n')).toMatchObject({ permissions: [], roles: [] });
  });

  it('keeps the line breaks of a long description and drops the space around it', () => {
    const layer = read('version: 1\npermissions:\n  a:\n    b: |\n      one\n      two\n\nroles: {}\n');
    expect(layer.permissions[0]?.description).toBe('one\ntwo');
  });
});

describe('a reference to a permission', () => {
  it.each(['orders.view_order', 'orders:view_order', 'orders_view_order'])(
    'may be written %s',
    (reference) => {
      const layer = read(shop.replace('[orders.view_order]', `["${reference}"]`));
      expect(roleOf(layer, 'viewer').permissions).toEqual(['orders_view_order']);
    },
  );

  it.each([
    ['*', ['customers_view_customer', 'orders_change_order', 'orders_view_order']],
    ['orders.*', ['orders_change_order', 'orders_view_order']],
    ['orders:*', ['orders_change_order', 'orders_view_order']],
  ])('may be the wildcard %s, which never reaches the reserved resource', (wildcard, slugs) => {
    const layer = read(shop.replace('[orders.view_order]', `["${wildcard}"]`));
    expect(roleOf(layer, 'viewer').permissions).toEqual(slugs);
  });

  it('may overlap with a wildcard', () => {
    const layer = read(shop.replace('[orders.view_order]', '["orders.*", "*", orders.view_order]'));
    expect(roleOf(layer, 'viewer').permissions).toHaveLength(3);
  });

  it.each(['rolecall.check', 'rolecall:check', 'rolecall_check'])(
    'may name a built-in one, %s',
    (reference) => {
      const layer = read(shop.replace('[orders.view_order]', `["${reference}"]`));
      expect(roleOf(layer, 'viewer').permissions).toEqual(['rolecall_check']);
    },
  );
});

describe('the content hash', () => {
  const hash = read(shop).contentHash;

  it('does not depend on formatting, comments, order or notation', () => {
    const other = `{roles: {
  # the boss
  "manager": {permissions: [rolecall.check, customers.view_customer, orders:view_order, orders.change_order],
    includes: [viewer], system: true, description: 'Runs', name: "Manager"},
  viewer: {description: Reads, name: Viewer, system: false, includes: [], permissions: [orders_view_order]}},
permissions: {customers: {view_customer: See a customer},
  orders: {change_order: Change an order, view_order: See an order}}, version: 1}`;
    expect(read(other)).toEqual(read(shop));
    expect(read(other).contentHash).toBe(hash);
  });

  it.each([
    ['a description', 'See an order', 'See any order'],
    ["a role's name", 'name: Viewer', 'name: Reader'],
    ["a role's description", 'description: Reads', 'description: Looks'],
    ['the system flag', 'system: true', 'system: false'],
    ['an include', '    includes: [viewer]\n', ''],
    ['an edge', '[orders.view_order]', '[orders.change_order]'],
    [
      'a permission',
      '    view_customer: See a customer',
      '    view_customer: See a customer\n    add: Add one',
    ],
    ['a role', 'roles:\n', 'roles:\n  user: {name: User, description: Anybody}\n'],
  ])('changes with %s', (_, before, after) => {
    expect(shop).toContain(before);
    expect(read(shop.replace(before, after)).contentHash).not.toBe(hash);
  });

  it('is the SHA-256 of a canonical text, so that another release computes the same', () => {
    const layer = read(
      'version: 1\npermissions: {a: {b: B}}\nroles: {r: {name: R, description: D, permissions: [a.b]}}',
    );
    const canonical = '[[["a","b","B"]],[["r","R","D",false,[],["a_b"]]]]';
    expect(layer.contentHash).toBe(createHash('sha256').update(canonical).digest('hex'));
  });
});
