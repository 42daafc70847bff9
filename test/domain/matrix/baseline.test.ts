import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import { parseMatrixFile } from '../../../src/domain/matrix/parse.ts';
import { roleOf } from './reading.ts';

const text = readFileSync(new URL('../../../matrix/baseline.yaml', import.meta.url), 'utf8');
const baseline = parseMatrixFile('matrix/baseline.yaml', text, builtinLayer.permissions);
const slugs = baseline.permissions.map(({ slug }) => slug);

describe('the baseline', () => {
  it('declares at least 45 permissions over six resources, each described', () => {
    expect(slugs.length).toBeGreaterThanOrEqual(45);
    expect(new Set(baseline.permissions.map(({ resource }) => resource))).toEqual(
      new Set(['adminpanel', 'customers', 'documents', 'orders', 'settings', 'users']),
    );
    expect(baseline.permissions.filter(({ description }) => description === '')).toEqual([]);
  });

  it('has the permissions that the source documents name', () => {
    expect(slugs).toEqual(
      expect.arrayContaining([
        'adminpanel_view_dashboard',
        'adminpanel_view_documents',
        'customers_view_customer',
        'customers_add_customer',
        'customers_change_customer',
        'customers_delete_customer',
        'customers_export_customers',
        'documents_view_document',
        'documents_create_document',
        'orders_view_order',
        'orders_load_order',
      ]),
    );
  });

  it('requirement 3.3: admin, user and viewer are system roles, the others are not', () => {
    const isSystem = Object.fromEntries(baseline.roles.map((role) => [role.key, role.isSystem]));
    expect(isSystem).toEqual({
      accountant: false,
      admin: true,
      backend: false,
      loader: false,
      manager: false,
      user: true,
      viewer: true,
    });
  });

  it('gives the administrator everything it declares, by a wildcard', () => {
    expect(roleOf(baseline, 'admin').permissions).toEqual(slugs);
    expect(text).toContain('permissions: ["*"]');
  });

  it('gives the manager what a viewer has and what the business needs', () => {
    const manager = roleOf(baseline, 'manager');
    expect(manager.includes).toEqual(['viewer']);
    expect(manager.permissions).toEqual(
      expect.arrayContaining(['adminpanel_view_dashboard', 'customers_change_customer']),
    );
  });

  it('gives the loader little', () => {
    expect(roleOf(baseline, 'loader').permissions).toEqual([
      'documents_view_document',
      'orders_load_order',
      'orders_view_order',
    ]);
  });

  it('gives services that ask exactly what asking needs, and nobody else anything of the service', () => {
    expect(roleOf(baseline, 'backend')).toMatchObject({
      includes: [],
      permissions: ['rolecall_check', 'rolecall_read_users'],
    });
    const others = baseline.roles.filter(({ key }) => key !== 'backend');
    expect(
      others.flatMap(({ permissions }) => permissions).filter((slug) => /^rolecall_/.test(slug)),
    ).toEqual([]);
  });
});
