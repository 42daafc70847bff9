import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/domain/decision/decide.ts';
import { scopesOf } from '../../src/domain/decision/effective-access.ts';
import { compileAccess } from '../../src/domain/decision/user-access.ts';
import type { PermissionSlug, Scope } from '../../src/domain/ids.ts';
import * as soundBuild from '../../src/domain/sight.ts';
import { isUnlimited, type Sight, sees, seesEverything, seesNothing } from '../../src/domain/sight.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { accessOf, catalogueOf, inventedScopes, scopes, worlds } from '../support/worlds.ts';

const everyScope = [...scopes, ...inventedScopes] as Scope[];
const some = fc.subarray(everyScope);
const sights = fc.record({ scopes: some, denied: fc.oneof(fc.constant([]), some) });

type Build = Pick<typeof soundBuild, 'commonSight' | 'isUnlimited' | 'sees'>;

/** Scopes that two do not see in common as each of them does, or one that is unlimited does not see. */
function wrongPlaces({ commonSight, isUnlimited, sees }: Build, one: Sight, other: Sight): readonly Scope[] {
  const common = commonSight(one, other);
  const both = (scope: Scope) => seesIn(one, scope) && seesIn(other, scope);
  return everyScope.filter(
    (scope) => sees(common, scope) !== both(scope) || (isUnlimited(one) && !seesIn(one, scope)),
  );
}

/** What seeing means, said a second time. */
function seesIn({ scopes: held, denied }: Sight, scope: Scope): boolean {
  const isAt = (upper: Scope) => upper === '' || `${scope}/`.startsWith(`${upper}/`);
  return held.some(isAt) && !denied.some(isAt);
}

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
    expect(wrongPlaces(soundBuild, one, other)).toEqual([]);
  });

  it('is everywhere only without a limit', () => {
    expect(isUnlimited(seesEverything)).toBe(true);
    expect(isUnlimited(seesNothing)).toBe(false);
    expect(isUnlimited({ scopes: ['' as Scope], denied: ['org' as Scope] })).toBe(false);
    expect(isUnlimited({ scopes: ['org' as Scope], denied: [] })).toBe(false);
  });
});

/** Each takes one rule out of sight. */
const rules: Readonly<Record<string, readonly [replace: string, by: string]>> = {
  'what is denied is not seen': [' && !denied.some((not) => covers(not, scope))', ''],
  'what is denied is denied below too': [
    ' && !denied.some((not) => covers(not, scope))',
    ' && !denied.includes(scope)',
  ],
  'what lies below is seen': ['scopes.some((held) => covers(held, scope))', 'scopes.includes(scope)'],
  'who is denied something has a limit': ['denied.length === 0 && ', ''],
  'who sees one place has a limit': ['scopes.includes(everywhere)', 'scopes.length > 0'],
  'one with limits keeps them beside one without': [
    'if (isUnlimited(other)) return one;',
    'if (isUnlimited(other)) return other;',
  ],
  'it is the same the other way round': [
    'if (isUnlimited(one)) return other;',
    'if (isUnlimited(one)) return one;',
  ],
  'what the other is denied counts': ['...one.denied, ...other.denied', '...one.denied'],
  'the narrower of two is common': [
    'if (covers(scope, beside)) return [beside];',
    'if (covers(scope, beside)) return [scope];',
  ],
  'it is narrower on either side': ['covers(beside, scope) ? [scope] : []', '[]'],
  'what is denied within stays denied': [
    'denied: denied.filter((not) => standing.some((scope) => covers(scope, not))).sort()',
    'denied: []',
  ],
};

it.for(Object.entries(rules))('a build is found out without the rule that $0', async ([, [replace, by]]) => {
  const breakage: Breakage = { file: 'domain/sight.ts', replace, by };
  const drawn = fc.sample(fc.tuple(sights, sights), { seed: 1, numRuns: 5_000 });
  const isFound = await withBrokenBuild(
    breakage,
    async (load) => {
      const build = await load<Build>('domain/sight.ts');
      return drawn.some(([one, other]) => wrongPlaces(build, one, other).length > 0);
    },
    'domain',
  );
  expect(isFound).toBe(true);
});
