import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { PermissionSlug, Scope } from '../../src/domain/ids.ts';
import * as power from '../../src/domain/power.ts';
import { covers, everywhere } from '../../src/domain/scopes.ts';
import { type Breakage, type Load, withBrokenBuild } from '../support/broken-build.ts';
import { type ReferenceException, referenceDecision, type World } from '../support/reference-model.ts';
import { accessOf, catalogueOf, inventedScopes, scopes, worlds } from '../support/worlds.ts';

interface Gift {
  readonly permission: string;
  readonly scope: string;
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
}

interface Giving {
  readonly world: World;
  readonly gift: Gift;
  readonly narrowedTo: readonly string[] | null;
  readonly within: string;
  readonly at: number;
}

const long = process.env['TEST_LONG'] !== undefined;
const numRuns = long ? 500_000 : 20_000;
const timeout = 600_000;

// Beyond the last bound of any window, the answer stays what it is.
const instants = [-1, 0, 1, 2, 3, 4, 5];
const bound = fc.option(fc.constantFrom(...instants), { freq: 2 });
const permission = fc.constantFrom('orders_view', 'orders_view_all', 'a_b_c', 'orders_view_nothing');

const exceptionsForOrders = fc.array(
  fc.record({
    ...{ permission: fc.constant('orders_view'), startsAt: bound, expiresAt: bound },
    scope: fc.constantFrom('', 'org', 'org/acme', 'org/acme/billing', 'org/ac'),
    effect: fc.constantFrom('allow', 'allow', 'deny'),
  }),
  { minLength: 1, maxLength: 4 },
);

/** Worlds in which alice may do little by roles and has much to do with `orders_view`. */
const worldsOfOrders = fc
  .record({ world: worlds, exceptions: exceptionsForOrders })
  .map(({ world, exceptions }) => {
    const alice = { active: true, grants: world.users.get('alice')?.grants.slice(0, 1) ?? [], exceptions };
    return { ...world, users: new Map([['alice', alice]]) };
  });

const givings: fc.Arbitrary<Giving> = fc.record({
  // The database refuses windows that end before they start.
  world: fc.oneof(worlds, worldsOfOrders).map(withOrderlyWindows),
  gift: fc.record({
    permission: fc.oneof(fc.constant('orders_view'), permission),
    scope: fc.constantFrom('org/acme', 'org/acme/billing', ...scopes),
    startsAt: bound,
    expiresAt: bound,
  }),
  narrowedTo: fc.option(fc.uniqueArray(permission), { freq: 4 }),
  within: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom('org', 'org/acme', 'org/ac')),
  at: fc.constantFrom(...instants),
});

describe('whoever gives must hold wholly', () => {
  test.prop([givings], { numRuns })(
    'what is given, at every scope below and at every instant of the gift still to come',
    (giving) => {
      expect(holdsWholly(giving)).toBe(referenceHoldsWholly(giving));
    },
    timeout,
  );

  it('both answers are plenty', () => {
    const sample = fc.sample(givings, { seed: 1, numRuns: 10_000 }).filter(isStillToCome);
    const held = sample.filter(referenceHoldsWholly).length;
    expect(held).toBeGreaterThan(200);
    expect(sample.length - held).toBeGreaterThan(200);
  });

  test.prop([givings], { numRuns: 5_000 })('nothing at all for what lies in the past', (giving) => {
    const gift = { ...giving.gift, expiresAt: giving.at };
    expect(holdsWholly({ ...giving, gift })).toBe(true);
  });

  test.prop([givings], { numRuns: 5_000 })('what oneself was given, unless something is denied', (giving) => {
    const { world, at } = giving;
    const access = accessOf(world, 'alice');
    fc.pre(access?.active === true && access.exceptions.every(({ effect }) => effect === 'allow'));
    const catalogue = catalogueOf(world);
    for (const gift of power.giftsOf(catalogue, access, at))
      expect(power.holdsWholly(catalogue, { access, narrowedTo: null, within: everywhere }, gift, at)).toBe(
        true,
      );
  });
});

describe('what a user has or will have', () => {
  const asked = fc.tuple(worlds.map(withOrderlyWindows), fc.constantFrom(...instants));

  test.prop([asked], { numRuns: 500 })(
    'is what would be allowed without the denies, active or not',
    ([world, at]) => {
      const access = accessOf(world, 'alice');
      fc.pre(access !== undefined);
      const gifts = power.giftsOf(catalogueOf(world), access, at);
      const undenied = withoutDenies(world);
      for (const slug of [...world.permissions.keys(), 'orders_view_nothing'])
        for (const scope of [...scopes, ...inventedScopes])
          for (const instant of instants.filter((each) => each >= at)) {
            const given = gifts.some(
              (gift) =>
                gift.permission === slug &&
                covers(gift.scope, scope as Scope) &&
                (gift.startsAt ?? instant) <= instant &&
                instant < (gift.expiresAt ?? Number.POSITIVE_INFINITY),
            );
            expect(given).toBe(referenceDecision(undenied, 'alice', slug, scope, instant).allowed);
          }
    },
  );

  test.prop([asked], { numRuns: 500 })('has not ended', ([world, at]) => {
    const access = accessOf(world, 'alice');
    fc.pre(access !== undefined);
    for (const { expiresAt } of power.giftsOf(catalogueOf(world), access, at))
      expect(expiresAt ?? Number.POSITIVE_INFINITY).toBeGreaterThan(at);
  });
});

describe('windows that touch', () => {
  it.each([
    ['without a gap', [5, 10], [10, 15], [5, 15], true],
    ['overlapping', [5, 11], [9, 15], [5, 15], true],
    ['one within the other', [5, 15], [7, 8], [5, 15], true],
    ['with a gap', [5, 10], [11, 15], [5, 15], false],
    ['up to an instant too early', [5, 10], [10, 15], [5, 16], false],
    ['from an instant too late', [5, 10], [10, 15], [4, 15], false],
    ['and never end', [5, 10], [10, null], [5, null], true],
    ['and end, for a gift that does not', [5, 10], [10, 15], [5, null], false],
  ])('%s', (_what, first, second, given, expected) => {
    const window = ([startsAt = null, expiresAt = null]: (number | null)[]) => ({ startsAt, expiresAt });
    const exceptions = [second, first].map((each) => ({ ...window(each), effect: 'allow' as const }));
    expect(holdsWholly({ ...giving(exceptions), gift: { ...orders, ...window(given) } })).toBe(expected);
  });

  it.each([
    ['ends where the gift begins', { startsAt: 0, expiresAt: 5 }, true],
    ['begins where the gift ends', { startsAt: 10, expiresAt: null }, true],
    ['meets its first instant', { startsAt: 0, expiresAt: 6 }, false],
    ['meets its last instant', { startsAt: 9, expiresAt: null }, false],
  ])('a deny that %s', (_what, window, expected) => {
    const gift = { ...orders, scope: 'org/acme', startsAt: 5, expiresAt: 10 };
    const givingUnder = (scope: string) => giving([{}, { ...window, scope, effect: 'deny' }]);
    for (const scope of ['', 'org', 'org/acme', 'org/acme/billing'])
      expect(holdsWholly({ ...givingUnder(scope), gift }), scope).toBe(expected);
    for (const scope of ['org/ac', 'org/acme-x', 'habits'])
      expect(holdsWholly({ ...givingUnder(scope), gift }), scope).toBe(true);
  });
});

describe('without the rule that', () => {
  const cases = fc.sample(givings, { seed: 7, numRuns: 20_000 });
  const expected = cases.map(referenceHoldsWholly);

  it.each<[string, Breakage['replace'], Breakage['by']]>([
    ['the past needs nothing', 'Math.max(startOf(gift), at)', 'startOf(gift)'],
    ['an empty gift needs nothing', 'if (from >= until) return true;', ''],
    ['the holder is active', '!holder.access.active || ', ''],
    [
      'the permission is registered',
      '!holder.access.active || !catalogue.isRegistered(gift.permission)',
      '!holder.access.active',
    ],
    [
      'a credential narrows',
      'if (holder.narrowedTo !== null && !holder.narrowedTo.has(gift.permission)) return false;',
      '',
    ],
    ['a credential has a scope', 'if (!covers(holder.within, gift.scope)) return false;', ''],
    [
      'a deny concerns its permission',
      'holder.access.exceptions.filter((exception) => exception.permission === gift.permission)',
      'holder.access.exceptions',
    ],
    ['a deny counts', 'if (denied) return false;', ''],
    ['a deny above counts', 'covers(exception.scope, gift.scope) || ', ''],
    ['a deny below counts', ' || covers(gift.scope, exception.scope)', ''],
    [
      'a deny elsewhere does not count',
      '(covers(exception.scope, gift.scope) || covers(gift.scope, exception.scope)) &&',
      '',
    ],
    ['a deny that begins after the gift does not count', 'startOf(exception) < until &&', ''],
    [
      'a deny that begins at the end does not count',
      'startOf(exception) < until',
      'startOf(exception) <= until',
    ],
    ['a deny that ended before does not count', '&&\n      endOf(exception) > from', ''],
    ['a deny that ends at the start does not count', 'endOf(exception) > from', 'endOf(exception) >= from'],
    ['a source lies above', "'allow' && covers(exception.scope, gift.scope)", "'allow'"],
    ['a grant lies above', 'covers(grant.scope, gift.scope) &&', ''],
    ['a grant of the role gives the permission', '&& catalogue.gives(grant.role, gift.permission)', ''],
    ['a gap is a gap', 'if (startOf(window) > reached) return false;', ''],
    ['touching is no gap', 'startOf(window) > reached', 'startOf(window) >= reached'],
    [
      'the whole gift is covered',
      'if (reached >= until) return true;\n  }\n  return false;',
      '}\n  return true;',
    ],
    ['sources are taken in order', 'windows.toSorted((a, b) => startOf(a) - startOf(b))', 'windows'],
    ['a shorter window takes nothing back', 'Math.max(reached, endOf(window))', 'endOf(window)'],
  ])('%s, the build is found out', async (_rule, replace, by) => {
    const comparing = async (load: Load) => {
      const broken = await load<typeof power>('domain/power.ts');
      return cases.findIndex((each, index) => holdsWholly(each, broken) !== expected[index]);
    };
    const found = await withBrokenBuild({ file: 'domain/power.ts', replace, by }, comparing, 'domain');
    expect(found).not.toBe(-1);
  });
});

const orders: Gift = { permission: 'orders_view', scope: 'org', startsAt: null, expiresAt: null };

/** Alice gives `orders_view` at `org` and has these exceptions for it. */
function giving(exceptions: readonly Partial<ReferenceException>[]): Giving {
  const alice = {
    active: true,
    grants: [],
    exceptions: exceptions.map((exception) => ({ ...orders, effect: 'allow' as const, ...exception })),
  };
  const permissions = new Map([['orders_view', 'registered' as const]]);
  const world = { permissions, users: new Map([['alice', alice]]), includes: [], edges: [] };
  return { world, gift: orders, narrowedTo: null, within: '', at: 0 };
}

function holdsWholly({ world, gift, narrowedTo, within, at }: Giving, build = power): boolean {
  const access = accessOf(world, 'alice');
  if (access === undefined) throw new Error('alice is in every world');
  const slugs = narrowedTo as readonly PermissionSlug[] | null;
  const given = { ...gift, permission: gift.permission as PermissionSlug, scope: gift.scope as Scope };
  const holder = { access, narrowedTo: slugs && new Set(slugs), within: within as Scope };
  return build.holdsWholly(catalogueOf(world), holder, given, at);
}

/** Asks the reference model at every instant and every scope that could make a difference. */
function referenceHoldsWholly({ world, gift, narrowedTo, within, at }: Giving): boolean {
  const below = [...scopes, ...inventedScopes, `${gift.scope}/x`].filter((scope) =>
    covers(gift.scope as Scope, scope as Scope),
  );
  return instantsToCome({ gift, at }).every((instant) =>
    below.every(
      (scope) =>
        narrowedTo?.includes(gift.permission) !== false &&
        `${scope}/`.startsWith(within === '' ? '' : `${within}/`) &&
        referenceDecision(world, 'alice', gift.permission, scope, instant).allowed,
    ),
  );
}

function instantsToCome({ gift, at }: Pick<Giving, 'gift' | 'at'>): number[] {
  return instants.filter(
    (instant) =>
      instant >= at &&
      instant >= (gift.startsAt ?? instant) &&
      instant < (gift.expiresAt ?? Number.POSITIVE_INFINITY),
  );
}

function isStillToCome(giving: Giving): boolean {
  return instantsToCome(giving).length > 0;
}

function withoutDenies(world: World): World {
  const users = [...world.users].map(
    ([id, user]) =>
      [
        id,
        { ...user, active: true, exceptions: user.exceptions.filter(({ effect }) => effect === 'allow') },
      ] as const,
  );
  return { ...world, users: new Map(users) };
}

function withOrderlyWindows(world: World): World {
  const orderly = <Held extends { startsAt: number | null; expiresAt: number | null }>(
    held: readonly Held[],
  ) =>
    held.filter(({ startsAt, expiresAt }) => startsAt === null || expiresAt === null || startsAt < expiresAt);
  const users = [...world.users].map(
    ([id, user]) =>
      [id, { ...user, grants: orderly(user.grants), exceptions: orderly(user.exceptions) }] as const,
  );
  return { ...world, users: new Map(users) };
}
