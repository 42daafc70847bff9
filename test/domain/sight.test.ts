import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/domain/decision/decide.ts';
import { scopesOf } from '../../src/domain/decision/effective-access.ts';
import { compileAccess } from '../../src/domain/decision/user-access.ts';
import type { PermissionSlug, Scope } from '../../src/domain/ids.ts';
import { commonSight, isUnlimited, sees, seesEverything, seesNothing } from '../../src/domain/sight.ts';
import { accessOf, catalogueOf, inventedScopes, scopes, worlds } from '../support/worlds.ts';

const everyScope = [...scopes, ...inventedScopes] as Scope[];
const some = fc.subarray(everyScope);
const sights = fc.record({ scopes: some, denied: fc.oneof(fc.constant([]), some) });

describe('where somebody may look', () => {
  test.prop([worlds, fc.constantFrom('orders_view', 'orders_view_all'), fc.constantFrom(0, 1, 2, 3)], {
    numRuns: 5_000,
  })('is exactly where they are allowed to', (world, permission, at) => {
    const user = accessOf(world, 'alice');
    fc.pre(user !== undefined);
    const access = compileAccess(catalogueOf(world), user, at);
    const sight = scopesOf(access, permission as PermissionSlug);
    for (const scope of everyScope)
      expect(sees(sight, scope), scope).toBe(
        decide(access.catalogue, access, permission as PermissionSlug, scope).allowed,
      );
  });

  test.prop([sights, sights], { numRuns: 5_000 })('is common to two where both may', (one, other) => {
    const common = commonSight(one, other);
    for (const scope of everyScope)
      expect(sees(common, scope), scope).toBe(sees(one, scope) && sees(other, scope));
  });

  it('is everywhere only without a limit', () => {
    expect(isUnlimited(seesEverything)).toBe(true);
    expect(isUnlimited(seesNothing)).toBe(false);
    expect(isUnlimited({ scopes: ['' as Scope], denied: ['org' as Scope] })).toBe(false);
    expect(isUnlimited({ scopes: ['org' as Scope], denied: [] })).toBe(false);
  });
});
