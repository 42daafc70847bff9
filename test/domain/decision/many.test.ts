import { describe, expect, it } from 'vitest';
import { Catalogue } from '../../../src/domain/decision/catalogue.ts';
import { decide } from '../../../src/domain/decision/decide.ts';
import { effectiveAccess, scopesOf } from '../../../src/domain/decision/effective-access.ts';
import { nextChange } from '../../../src/domain/decision/next-change.ts';
import { compileAccess, type UserAccess } from '../../../src/domain/decision/user-access.ts';
import type { Exception, Grant } from '../../../src/domain/grants.ts';
import type { PermissionSlug, RoleKey, Scope } from '../../../src/domain/ids.ts';
import { everywhere } from '../../../src/domain/scopes.ts';

const view = 'orders_view' as PermissionSlug;
const viewer = 'viewer' as RoleKey;
const viewing = { role: viewer, permission: view, withheld: false };
const always = { startsAt: null, expiresAt: null };

// What grows with the square of any of these would not end in the time a test has.
describe('a user with 10,000 scopes', () => {
  const catalogue = new Catalogue({ registered: [view], includes: [], edges: [viewing] });

  it.each([
    ['beside each other', Array.from({ length: 10_000 }, (_, n) => `org/${n}` as Scope)],
    [
      'as deep as a scope can be',
      Array.from({ length: 10_000 }, (_, n) => `${'a/'.repeat(120)}${n}` as Scope),
    ],
  ])('%s has in each what is given there', (_how, scopes) => {
    const [denied, ...others] = scopes.toSorted() as [Scope, ...Scope[]];
    const access = compileAccess(
      catalogue,
      { ...havingAt(scopes), exceptions: [{ ...always, permission: view, scope: denied, effect: 'deny' }] },
      0,
    );
    const allowed = scopes.filter((scope) => decide(catalogue, access, view, scope).allowed);
    expect(allowed.toSorted()).toEqual(others);
    for (const permission of [view, null]) expect(scopesOf(access, permission).scopes).toEqual(others);
    expect(decide(catalogue, access, view, everywhere).allowed).toBe(false);
    const [some] = others as [Scope];
    expect(effectiveAccess(access, some)).toEqual({ permissions: [view], roles: [viewer] });
  });

  it('of which all begin and end one after the other changes with the first', () => {
    const windows = Array.from({ length: 10_000 }, (_, n) => ({ startsAt: n, expiresAt: n + 10_000 }));
    const grants: Grant[] = windows.map((window) => ({ ...window, role: viewer, scope: everywhere }));
    const user: UserAccess = { active: true, grants, exceptions: [] };
    expect(nextChange(catalogue, user, everywhere, 5)).toBe(19_999);
  });

  it('and as many exceptions has what they leave', () => {
    const scopes = Array.from({ length: 10_000 }, (_, n) => `org/${n}` as Scope);
    const exceptions = scopes.map(
      (scope, n): Exception => ({ ...always, permission: view, scope, effect: n % 2 ? 'allow' : 'deny' }),
    );
    const access = compileAccess(catalogue, { ...havingAt([everywhere]), exceptions }, 0);
    expect(scopesOf(access, view).scopes).toHaveLength(5_001);
    expect(scopesOf(access, view).denied).toHaveLength(5_000);
  });
});

describe('a role', () => {
  it('with 200,000 permissions gives them all', () => {
    const permissions = Array.from({ length: 200_000 }, (_, n) => `p_${n}` as PermissionSlug);
    const catalogue = new Catalogue({
      registered: permissions,
      includes: [],
      edges: permissions.map((permission) => ({ role: viewer, permission, withheld: false })),
    });
    const access = compileAccess(catalogue, havingAt([everywhere]), 0);
    expect(permissions.every((permission) => decide(catalogue, access, permission, everywhere).allowed)).toBe(
      true,
    );
    expect(effectiveAccess(access, everywhere).permissions).toEqual(permissions.toSorted());
    expect(nextChange(catalogue, access.user, everywhere, 0)).toBeNull();
  });

  it('at the top of a chain of 20,000 includes gives what the last gives', () => {
    const chain = [...Array.from({ length: 20_000 }, (_, n) => `r${n}` as RoleKey), viewer];
    const includes = chain
      .slice(1)
      .map((included, n) => ({ role: `r${n}` as RoleKey, included, withheld: false }));
    const catalogue = new Catalogue({ registered: [view], includes, edges: [viewing] });
    const top = { ...always, role: 'r0' as RoleKey, scope: everywhere, expiresAt: 5 };
    const access = compileAccess(catalogue, { active: true, grants: [top], exceptions: [] }, 0);
    expect(decide(catalogue, access, view, everywhere)).toEqual({ allowed: true });
    expect(effectiveAccess(access, everywhere)).toEqual({ permissions: [view], roles: chain.toSorted() });
    expect(nextChange(catalogue, access.user, everywhere, 0)).toBe(5);
  });
});

function havingAt(scopes: readonly Scope[]): UserAccess {
  const grants = scopes.map((scope) => ({ ...always, role: viewer, scope }));
  return { active: true, grants, exceptions: [] };
}
