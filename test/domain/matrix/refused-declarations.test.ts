import { describe, expect, it } from 'vitest';
import { faultsOf, minimal } from './reading.ts';

const partRule = 'a resource or action is lower-case words joined by "_", beginning with a letter';
const keyRule = 'a role key is lower-case words joined by "_" or "-", beginning with a letter';

function withPermissions(permissions: string): string {
  return `version: 1\npermissions:\n${permissions}roles: {}\n`;
}

describe('a declaration is refused', () => {
  it.each<[string, string, string[]]>([
    [
      'a malformed resource',
      withPermissions('  Orders:\n    view: See\n'),
      [`3:3 malformed resource "Orders": ${partRule}`],
    ],
    [
      'a malformed action',
      withPermissions('  orders:\n    view-order: See\n'),
      [`4:5 malformed action "view-order": ${partRule}`],
    ],
    [
      'too long an action',
      withPermissions(`  orders:\n    ${'v'.repeat(101)}: See\n`),
      [`4:5 malformed action "${'v'.repeat(101)}": a resource or action has at most 100 characters`],
    ],
    [
      'a resource without actions',
      withPermissions('  orders:\n'),
      ['3:3 resource "orders" must be a mapping, not nothing'],
    ],
    [
      'a list of actions',
      withPermissions('  orders:\n    - view\n'),
      ['4:5 resource "orders" must be a mapping, not a list'],
    ],
    [
      'no description',
      withPermissions('  orders:\n    view:\n'),
      ['4:5 the description of "orders.view" must be text, not nothing'],
    ],
    [
      'an empty description',
      withPermissions("  orders:\n    view: ''\n"),
      ['4:11 the description of "orders.view" is empty'],
    ],
    [
      'the same permission twice',
      withPermissions('  orders:\n    view: See\n    view: See\n'),
      ['5:5 duplicate "view", first at baseline.yaml:4:5'],
    ],
    [
      'the same resource twice',
      withPermissions('  orders: {view: See}\n  orders: {change: Change}\n'),
      ['4:3 duplicate "orders", first at baseline.yaml:3:3'],
    ],
    [
      'the reserved resource',
      withPermissions('  rolecall:\n    check: Ask\n    mine: Mine\n'),
      ['3:3 the resource "rolecall" is reserved, its permissions are built in'],
    ],
    [
      'two permissions with one slug',
      withPermissions('  a_b:\n    c: One\n  a:\n    b_c: Other\n'),
      ['6:5 "a.b_c" and "a_b.c" at baseline.yaml:4:5 share the slug "a_b_c"'],
    ],
    [
      'three permissions with one slug',
      withPermissions('  a: {b_c_d: One}\n  a_b: {c_d: Two}\n  a_b_c: {d: Three}\n'),
      [
        '4:9 "a_b.c_d" and "a.b_c_d" at baseline.yaml:3:7 share the slug "a_b_c_d"',
        '5:11 "a_b_c.d" and "a.b_c_d" at baseline.yaml:3:7 share the slug "a_b_c_d"',
      ],
    ],
    [
      'the slug of a built-in permission',
      withPermissions('  rolecall_read:\n    users: Read\n'),
      ['3:3 the resource "rolecall_read" is reserved, its permissions are built in'],
    ],
    [
      'a malformed role key',
      minimal.replace('roles: {}', 'roles: {Admin: {name: A, description: A}}'),
      [`3:9 malformed role key "Admin": ${keyRule}`],
    ],
    [
      'a role key with a line break stays on one line',
      minimal.replace('roles: {}', 'roles: {"a\\nb": {}}'),
      [
        `3:9 malformed role key "a\\nb": ${keyRule}`,
        '3:9 role "a\\nb" lacks "name"',
        '3:9 role "a\\nb" lacks "description"',
      ],
    ],
  ])('%s', (_, text, faults) => {
    expect(faultsOf(text)).toEqual(faults.map((fault) => `baseline.yaml:${fault}`));
  });
});
