import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import * as catalogue from '../../../src/domain/decision/catalogue.ts';
import * as decision from '../../../src/domain/decision/decide.ts';
import * as lists from '../../../src/domain/decision/effective-access.ts';
import * as changes from '../../../src/domain/decision/next-change.ts';
import * as compiled from '../../../src/domain/decision/user-access.ts';
import type { PermissionSlug, Scope } from '../../../src/domain/ids.ts';
import { covers } from '../../../src/domain/scopes.ts';
import {
  type ReferenceException,
  type ReferenceGrant,
  referenceDecision,
  type World,
} from '../../support/reference-model.ts';
import {
  accessOf,
  answersOf,
  catalogueOf,
  instants,
  type Question,
  questions,
  referenceAnswers,
  scopes,
  worlds,
} from '../../support/worlds.ts';

const build = { ...catalogue, ...compiled, ...decision, ...lists, ...changes };
const long = process.env['TEST_LONG'] !== undefined;
const numRuns = long ? 1_000_000 : 100_000;
const timeout = 600_000;
const inventedBelow = fc
  .array(fc.constantFrom('1', 'org', 'acme', 'x-y'), { maxLength: 20 })
  .map((segments) => ['invented', ...segments].join('/'));

describe('held to the reference model', () => {
  test.prop([worlds, questions], { numRuns })(
    'a decision and its reason are the same',
    (world, question) => {
      const { user, permission, scope, at } = question;
      expect(decide(world, question)).toEqual(referenceDecision(world, user, permission, scope, at));
    },
    timeout,
  );

  test.prop([worlds, questions], { numRuns: numRuns / 4 })(
    'so are the permissions, the roles, the scopes and the instant at which the lists change next',
    (world, question) => {
      expect(answersOf(build, world, question)).toEqual(referenceAnswers(world, question));
    },
    timeout,
  );

  it('all kinds of answers are plenty', () => {
    const asked = fc.sample(fc.tuple(worlds, questions), { seed: 1, numRuns: 10_000 });
    const counts = new Map<string, number>();
    for (const [world, question] of asked) {
      const answers = referenceAnswers(world, question);
      const kinds = [answers.decision.reason ?? 'allowed'];
      if (answers.nextChange !== null) kinds.push('changing');
      if (answers.scopes.length > 0 && answers.denied.length > 0) kinds.push('held here and denied there');
      for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    expect([...counts].filter(([, count]) => count < 100)).toEqual([]);
    expect([...counts.keys()].sort()).toEqual([
      'allowed',
      'changing',
      'denied_by_exception',
      'held here and denied there',
      'inactive_user',
      'not_granted',
      'unknown_permission',
      'unknown_user',
    ]);
  });
});

describe('the answers among themselves', () => {
  test.prop([worlds, questions], { numRuns: 5_000 })(
    'a permission is in the list if and only if it is allowed',
    (world, asked) => {
      const access = compile(world, asked);
      fc.pre(access !== undefined);
      const listed = lists.effectiveAccess(access, asked.scope as Scope).permissions;
      for (const permission of [...world.permissions.keys(), 'orders_view_nothing'])
        expect(listed.includes(permission as PermissionSlug), permission).toBe(
          decide(world, { ...asked, permission }).allowed,
        );
    },
  );

  test.prop([worlds.chain((world) => fc.tuple(fc.constant(world), shuffled(world))), questions], {
    numRuns: 5_000,
  })('do not depend on the order of anything', ([world, other], question) => {
    expect(answersOf(build, other, question)).toEqual(answersOf(build, world, question));
  });

  test.prop([worlds, questions], { numRuns: 5_000 })(
    'a listed scope stands for everything below it but the denied',
    (world, asked) => {
      const { scopes: held, denied } = answersOf(build, world, asked);
      const at = (listed: readonly string[], scope: string) =>
        listed.some((each) => covers(each as Scope, scope as Scope));
      for (const scope of [...scopes, asked.scope])
        expect(at(held, scope) && !at(denied, scope), scope).toBe(decide(world, { ...asked, scope }).allowed);
    },
  );

  test.prop([worlds, questions], { numRuns: 5_000 })(
    'need no catalogue of more than the permission asked about',
    (world, asked) => {
      const permissions = new Map([...world.permissions].filter(([slug]) => slug === asked.permission));
      expect(decide({ ...world, permissions }, asked)).toEqual(decide(world, asked));
    },
  );

  test.prop([worlds, questions], { numRuns: 5_000 })(
    'stay the same until the next change',
    (world, asked) => {
      const listsAt = (at: number) => {
        const { permissions, roles } = answersOf(build, world, { ...asked, at });
        return { permissions, roles };
      };
      const { nextChange } = answersOf(build, world, asked);
      const now = listsAt(asked.at);
      if (nextChange === null) expect(listsAt(Number.MAX_SAFE_INTEGER)).toEqual(now);
      else {
        expect(nextChange).toBeGreaterThan(asked.at);
        expect(listsAt(nextChange - 1)).toEqual(now);
        expect(listsAt(nextChange)).not.toEqual(now);
      }
    },
  );

  const [asks, acts, needed] = ['alice', 'Alice', 'a_b_c' as PermissionSlug] as const;
  const narrowings = fc.option(fc.subarray(['orders_view', 'orders_view_all', needed] as PermissionSlug[]));
  test.prop([worlds, questions, narrowings, fc.boolean()], { numRuns: 5_000 })(
    'stay the same until the next change, as far as a credential shows them',
    (world, { scope, at }, list, isActedFor) => {
      const narrowedTo = list && new Set(list);
      const may = (user: string, slug: string, instant: number) =>
        (narrowedTo?.has(slug as PermissionSlug) ?? true) &&
        referenceDecision(world, user, slug, scope, instant).allowed;
      const listAt = (instant: number) =>
        [...world.permissions.keys()].filter(
          (slug) =>
            may(asks, slug, instant) &&
            (!isActedFor || (may(acts, slug, instant) && may(acts, needed, instant))),
        );
      const of = (user: string) => accessOf(world, user) as compiled.UserAccess;
      const through = isActedFor ? { access: of(acts), needs: needed } : null;
      const limits = { narrowedTo, through };
      const now = JSON.stringify(listAt(at));
      expect(changes.nextChange(catalogueOf(world), of(asks), scope as Scope, at, limits)).toBe(
        instants.find((later) => later > at && JSON.stringify(listAt(later)) !== now) ?? null,
      );
    },
  );
});

describe('what was compiled', () => {
  test.prop([worlds, questions], { numRuns: 10_000 })(
    'says at every instant from its first to its last what is compiled then',
    (world, asked) => {
      const access = compile(world, asked);
      fc.pre(access !== undefined);
      const { from, until } = access;
      expect(from <= asked.at && asked.at < until).toBe(true);
      for (const at of [from, until - 1, ...instants].filter((each) => from <= each && each < until)) {
        const then = compile(world, { ...asked, at });
        expect(then && saidBy(then, asked), `${at}`).toEqual(saidBy(access, asked));
      }
    },
  );

  test.prop([worlds, questions, inventedBelow], { numRuns: 10_000 })(
    'says at an invented scope what it says above',
    (world, asked, below) => {
      const access = compile(world, asked);
      fc.pre(access !== undefined);
      const scope = asked.scope === '' ? below : `${asked.scope}/${below}`;
      expect(saidBy(access, { ...asked, scope })).toEqual(saidBy(access, asked));
    },
  );

  it('is of no use with another catalogue, which numbers permissions otherwise', () => {
    const world = worldWith({ grants: [grant()] });
    const access = compile(world, asked);
    const decideBy = (by: catalogue.Catalogue) =>
      decision.decide(by, access, asked.permission as PermissionSlug, '' as Scope);
    expect(access && decideBy(access.catalogue)).toEqual({ allowed: true });
    expect(() => decideBy(catalogueOf(world))).toThrow('compiled with another catalogue');
  });

  function saidBy(access: compiled.CompiledAccess, { permission, scope }: Question) {
    return [
      decision.decide(access.catalogue, access, permission as PermissionSlug, scope as Scope),
      lists.effectiveAccess(access, scope as Scope),
      lists.scopesOf(access, permission as PermissionSlug),
      lists.scopesOf(access, null),
    ];
  }
});

describe('requirement 1.8: a role in one scope says nothing about another', () => {
  it.each([
    ['practices', 'practices', true],
    ['practices', 'practices/7', true],
    ['practices', 'practices/7/rooms/2', true],
    ['practices', '', false],
    ['practices', 'habits', false],
    ['practices', 'habits/practices', false],
    ['practices', 'practice', false],
    ['practices', 'practices2', false],
    ['practices', 'practices-old/7', false],
    ['practices', 'Practices', false],
    ['', '', true],
    ['', 'practices', true],
    ['', 'practices/7', true],
    ['org/acme/billing', 'org/acme/billing', true],
    ['org/acme/billing', 'org/acme/billing/eu', true],
    ['org/acme/billing', 'org/acme', false],
    ['org/acme/billing', 'org', false],
    ['org/acme/billing', '', false],
    ['org/acme/billing', 'org/acme/billings', false],
    ['org/acme/billing', 'org/acme/bill', false],
    ['org/acme/billing', 'org/other/billing', false],
    ['org/ac', 'org/acme', false],
    ['org/acme', 'org/ac', false],
  ])('granted at "%s", asked at "%s": %s', (held, scope, allowed) => {
    const expected = allowed ? { allowed } : { allowed, reason: 'not_granted' };
    expect(decide(worldWith({ grants: [grant({ scope: held })] }), { scope })).toEqual(expected);
  });

  it.each([
    ['org', 'org/acme', 'org/acme', false],
    ['org', 'org/acme', 'org/acme/billing', false],
    ['org', 'org/acme', 'org', true],
    ['org', 'org/acme', 'org/ac', true],
    ['org/acme', 'org', 'org/acme', false],
    ['org/acme', '', 'org/acme', false],
    ['org/acme', 'org/acme', 'org/acme', false],
    ['', 'practices', 'habits', true],
  ])('granted at "%s", denied at "%s", asked at "%s": %s', (held, denied, scope, allowed) => {
    const exceptions = [exception({ scope: denied, effect: 'deny' })];
    const expected = allowed ? { allowed } : { allowed, reason: 'denied_by_exception' };
    expect(decide(worldWith({ grants: [grant({ scope: held })], exceptions }), { scope })).toEqual(expected);
    exceptions.push(exception({ scope }));
    expect(decide(worldWith({ exceptions }), { scope })).toEqual(expected);
  });
});

describe('the reason is the first that applies', () => {
  const denied = { grants: [grant()], exceptions: [exception(), exception({ effect: 'deny' })] };
  it.each<[string, string, World, Partial<Question>]>([
    [
      'unknown_permission',
      'neither permission nor user is known',
      worldWith({}),
      { permission: 'x_y', user: 'nobody' },
    ],
    ['unknown_permission', 'retired, and nobody asks', retired(worldWith({})), { user: 'nobody' }],
    ['unknown_permission', 'retired, inactive', retired(worldWith({ active: false })), {}],
    ['unknown_permission', 'retired, denied', retired(worldWith(denied)), {}],
    ['unknown_permission', 'retired, granted', retired(worldWith({ grants: [grant()] })), {}],
    ['unknown_user', 'not there', worldWith(denied), { user: 'nobody' }],
    ['unknown_user', 'in other letters', worldWith({ grants: [grant()] }), { user: 'Alice' }],
    ['inactive_user', 'inactive, granted', worldWith({ active: false, grants: [grant()] }), {}],
    ['inactive_user', 'inactive, denied', worldWith({ active: false, ...denied }), {}],
    ['denied_by_exception', 'denied, allowed and granted', worldWith(denied), {}],
    [
      'denied_by_exception',
      'denied, nothing else',
      worldWith({ exceptions: [exception({ effect: 'deny' })] }),
      {},
    ],
    ['not_granted', 'nothing', worldWith({}), {}],
    ['not_granted', 'another permission', worldWith({ exceptions: [exception({ permission: 'x_y' })] }), {}],
    ['not_granted', 'a role without it', worldWith({ grants: [grant({ role: 'editor' })] }), {}],
  ])('%s: %s', (reason, _what, world, question) => {
    expect(decide(world, question)).toEqual({ allowed: false, reason });
  });
});

describe('a window', () => {
  const five = { startsAt: 5, expiresAt: 10 };
  it.each([
    [{}, { '-1': true, 0: true, 5: true, 1e15: true }],
    [five, { 4: false, 5: true, 9: true, 10: false, 11: false }],
    [{ startsAt: 5 }, { 4: false, 5: true, 1e15: true }],
    [{ expiresAt: 5 }, { '-1': true, 4: true, 5: false }],
    [{ startsAt: 0 }, { '-1': false, 0: true }],
    [{ expiresAt: 0 }, { '-1': true, 0: false }],
  ])('%j holds its first instant and not its last', (window, byInstant) => {
    for (const [instant, allowed] of Object.entries(byInstant)) {
      const at = Number(instant);
      expect(decide(worldWith({ grants: [grant(window)] }), { at }).allowed, instant).toBe(allowed);
      expect(decide(worldWith({ exceptions: [exception(window)] }), { at }).allowed, instant).toBe(allowed);
      const denying = worldWith({
        grants: [grant()],
        exceptions: [exception({ ...window, effect: 'deny' })],
      });
      expect(decide(denying, { at }).allowed, instant).toBe(!allowed);
    }
  });

  it('and one that begins where it ends leave no gap and no overlap', () => {
    const after = { startsAt: 10, expiresAt: 15 };
    const granted = worldWith({ grants: [grant(five), grant(after)] });
    expect(allowedInstants(granted)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(answersOf(build, granted, { ...asked, at: 5 }).nextChange).toBe(15);
    const replaced = worldWith({
      grants: [grant(five)],
      exceptions: [exception({ ...five, effect: 'deny' }), exception(after)],
    });
    expect(allowedInstants(replaced)).toEqual([10, 11, 12, 13, 14]);
  });

  it.each([
    { startsAt: 10, expiresAt: 10 },
    { startsAt: 10, expiresAt: 5 },
  ])('that is empty or ends before it starts never holds: %j', (window) => {
    expect(allowedInstants(worldWith({ grants: [grant(window)] }))).toEqual([]);
    const denying = worldWith({ grants: [grant()], exceptions: [exception({ ...window, effect: 'deny' })] });
    expect(allowedInstants(denying)).toHaveLength(21);
  });
});

describe('the closure over includes', () => {
  const including = (world: World, pairs: readonly [string, string][]) => {
    for (const [role, included] of pairs)
      world.includes.push({ role, included, origin: 'api', withheld: false });
    return world;
  };

  it('goes round in a circle once, whoever of it is granted', () => {
    const circle: [string, string][] = [
      ['a', 'b'],
      ['b', 'viewer'],
      ['viewer', 'a'],
      ['a', 'a'],
    ];
    for (const role of ['a', 'b', 'viewer']) {
      const world = including(worldWith({ grants: [grant({ role })] }), circle);
      expect(decide(world, {})).toEqual({ allowed: true });
      expect(answersOf(build, world, asked).roles).toEqual(['a', 'b', 'viewer']);
    }
  });

  it('does not go upwards', () => {
    const world = including(worldWith({ grants: [grant({ role: 'editor' })] }), [['viewer', 'editor']]);
    expect(decide(world, {})).toEqual({ allowed: false, reason: 'not_granted' });
  });
});

const asked: Question = { user: 'alice', permission: 'orders_view', scope: '', at: 0 };

function decide(world: World, question: Partial<Question>) {
  const { permission, scope, ...who } = { ...asked, ...question };
  const all = catalogueOf(world);
  const access = compile(world, who, all);
  return decision.decide(all, access, permission as PermissionSlug, scope as Scope);
}

function compile(world: World, { user, at }: Pick<Question, 'user' | 'at'>, all = catalogueOf(world)) {
  const access = accessOf(world, user);
  return access && compiled.compileAccess(all, access, at);
}

function allowedInstants(world: World): number[] {
  return Array.from({ length: 21 }, (_, at) => at).filter((at) => decide(world, { at }).allowed);
}

/** A world of alice, in which the role viewer has the permission asked about. */
function worldWith(alice: {
  active?: boolean;
  grants?: ReferenceGrant[];
  exceptions?: ReferenceException[];
}): World {
  return {
    permissions: new Map([['orders_view', 'registered']]),
    users: new Map([['alice', { active: true, grants: [], exceptions: [], ...alice }]]),
    includes: [],
    edges: [{ role: 'viewer', permission: 'orders_view', origin: 'api', withheld: false }],
  };
}

function retired(world: World): World {
  return { ...world, permissions: new Map([['orders_view', 'retired']]) };
}

function grant(change: Partial<ReferenceGrant> = {}): ReferenceGrant {
  return { role: 'viewer', scope: '', startsAt: null, expiresAt: null, ...change };
}

function exception(change: Partial<ReferenceException> = {}): ReferenceException {
  return {
    permission: 'orders_view',
    scope: '',
    effect: 'allow',
    startsAt: null,
    expiresAt: null,
    ...change,
  };
}

function shuffled(world: World): fc.Arbitrary<World> {
  const inAnyOrder = <Row>(rows: readonly Row[]) =>
    fc.shuffledSubarray([...rows], { minLength: rows.length, maxLength: rows.length });
  const users = [...world.users].map(([id, user]) =>
    fc.tuple(
      fc.constant(id),
      fc.record({
        active: fc.constant(user.active),
        grants: inAnyOrder(user.grants),
        exceptions: inAnyOrder(user.exceptions),
      }),
    ),
  );
  return fc.record({
    permissions: inAnyOrder([...world.permissions]).map((rows) => new Map(rows)),
    users: fc.tuple(...users).map((rows) => new Map(rows)),
    includes: inAnyOrder(world.includes),
    edges: inAnyOrder(world.edges),
  });
}
