import { expect, test } from 'vitest';
import { Catalogue } from '../../../src/domain/decision/catalogue.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../../src/domain/ids.ts';
import { CachedUser } from '../../../src/services/decisions/cached-user.ts';
import { PermissionLists } from '../../../src/services/decisions/permission-lists.ts';

const role = 'keeper' as RoleKey;
const open = 'vault_open' as PermissionSlug;
const everywhere = '' as Scope;
const window = { startsAt: null, expiresAt: 1_000 };
const ann = () =>
  new CachedUser({
    pk: 1,
    id: 'ann' as UserId,
    access: { active: true, grants: [{ role, scope: everywhere, ...window }], exceptions: [] },
  });
const catalogueOf = (...permissions: PermissionSlug[]) =>
  new Catalogue({
    registered: permissions,
    includes: [],
    edges: permissions.map((permission) => ({ role, permission, withheld: false })),
  });

test('a list is the same object while nothing in it changes, and another as soon as something does', () => {
  const lists = new PermissionLists(1_000_000);
  const user = ann();
  const catalogue = catalogueOf(open);
  const first = lists.of(user, user.at(catalogue, 10), everywhere);
  expect(first).toEqual({ user: 'ann', scope: '', permissions: [open], roles: [role], expiresAt: 1_000 });
  expect(lists.of(user, user.at(catalogue, 999), everywhere)).toBe(first);

  const elsewhere = lists.of(user, user.at(catalogue, 20), 'org' as Scope);
  expect(elsewhere).toEqual({ ...first, scope: 'org' });

  const more = 'vault_shut' as PermissionSlug;
  const changed = lists.of(user, user.at(catalogueOf(open, more), 20), everywhere);
  expect(changed.permissions).toEqual([open, more]);

  const over = lists.of(user, user.at(catalogue, 1_000), everywhere);
  expect(over).toMatchObject({ permissions: [], roles: [], expiresAt: null });
});
