import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  administratorRole,
  type BuiltinPermission,
  builtinLayer,
} from '../../../src/domain/matrix/builtin.ts';
import { roleOf } from './reading.ts';

describe('the built-in layer', () => {
  it('declares what the service asks about its own callers', () => {
    expect(builtinLayer.id).toBe('builtin');
    expect(builtinLayer.permissions.map(({ slug }) => slug)).toEqual([
      'rolecall_act_for',
      'rolecall_check',
      'rolecall_erase_users',
      'rolecall_escalate',
      'rolecall_grant_permissions',
      'rolecall_grant_roles',
      'rolecall_manage_keys',
      'rolecall_manage_mappings',
      'rolecall_manage_matrix',
      'rolecall_manage_permissions',
      'rolecall_manage_roles',
      'rolecall_manage_settings',
      'rolecall_manage_users',
      'rolecall_read_journal',
      'rolecall_read_keys',
      'rolecall_read_mappings',
      'rolecall_read_metrics',
      'rolecall_read_permissions',
      'rolecall_read_roles',
      'rolecall_read_settings',
      'rolecall_read_users',
    ]);
    expect(builtinLayer.permissions.filter(({ description }) => description === '')).toEqual([]);
  });

  it('gives all of it to one system role, the administrator', () => {
    expect(builtinLayer.roles).toHaveLength(1);
    expect(roleOf(builtinLayer, administratorRole)).toMatchObject({
      key: 'admin',
      name: 'Administrator',
      isSystem: true,
      includes: [],
      permissions: builtinLayer.permissions.map(({ slug }) => slug),
    });
  });

  it('lets code name a built-in permission, and no other', () => {
    expectTypeOf<'rolecall_check' | 'rolecall_escalate'>().toExtend<BuiltinPermission>();
    expectTypeOf<'rolecall_nothing'>().not.toExtend<BuiltinPermission>();
    const named: BuiltinPermission = 'rolecall_manage_roles';
    expect(builtinLayer.permissions.map(({ slug }): string => slug)).toContain(named);
  });
});
