import { expect, test } from 'vitest';
import { renderTypeScript } from '../../../src/domain/matrix/typescript.ts';
import { minimal, read } from './reading.ts';

const matrix = (permissions: string, roles: string) =>
  read(`version: 1\npermissions:\n${permissions}roles:\n${roles}`);
const orders = '  orders: { view_order: See, load_order: Load }\n';
const customers = '  customers: { view_customer: See }\n';
const viewer = '  viewer: { name: V, description: V, permissions: [orders.view_order] }\n';
const loader = '  loader: { name: L, description: L, permissions: [] }\n';

const hashIn = (text: string) => /matrixHash = '([0-9a-f]{64})'/.exec(text)?.[1];

test('has every slug and every role as a union, sorted, and none of the service itself', () => {
  const text = renderTypeScript([matrix(orders + customers, viewer + loader)]);
  expect(text.replace(/'[0-9a-f]{64}'/, "'…'")).toMatchInlineSnapshot(`
    "// Made by \`rolecall matrix codegen\` from the matrix. Do not edit: change the matrix, and make it anew.

    /** Tells this matrix from every other: it changes with anything that a layer says. */
    export const matrixHash = '…';

    /** Every permission that the matrix declares, as it goes out. */
    export const permissions = [
      'customers_view_customer',
      'orders_load_order',
      'orders_view_order',
    ] as const;

    export type Permission = (typeof permissions)[number];

    /** Every role that the matrix declares, by its key. */
    export const roles = [
      'loader',
      'viewer',
    ] as const;

    export type Role = (typeof roles)[number];
    "
  `);
});

test('is the same bytes whatever the order and the form of the file', () => {
  const one = renderTypeScript([matrix(orders + customers, viewer + loader)]);
  expect(renderTypeScript([matrix(customers + orders, `  # a comment\n${loader}${viewer}`)])).toBe(one);
});

test('is sorted over all layers, whichever declares what', () => {
  const text = renderTypeScript([matrix(orders, viewer), matrix(customers, loader)]);
  const names = [...text.matchAll(/^ {2}'(.+)',$/gm)].map(([, name]) => name);
  expect(names).toEqual([
    'customers_view_customer',
    'orders_load_order',
    'orders_view_order',
    'loader',
    'viewer',
  ]);
});

test('has another hash as soon as the matrix says anything else', () => {
  const texts = [
    renderTypeScript([matrix(orders, viewer)]),
    renderTypeScript([matrix(orders, viewer.replace('[orders.view_order]', '[orders.load_order]'))]),
    renderTypeScript([matrix(orders, viewer.replace('name: V', 'name: W'))]),
    renderTypeScript([matrix(orders, viewer + loader)]),
    renderTypeScript([]),
  ];
  expect(new Set(texts.map(hashIn)).size).toBe(texts.length);
});

test('is TypeScript for a matrix of nothing too', () => {
  expect(renderTypeScript([read(minimal)])).toContain('export const permissions = [] as const;');
});
