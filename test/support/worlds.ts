/**
 * Small nasty worlds and questions about them: few names, so that everything meets everything, and names that look
 * alike. Rows that the database would refuse (circles of includes, windows that end before they start) occur as well.
 */
import fc from 'fast-check';
import { Catalogue } from '../../src/domain/decision/catalogue.ts';
import type { UserAccess } from '../../src/domain/decision/user-access.ts';
import type { Instant, PermissionSlug, RoleKey, Scope } from '../../src/domain/ids.ts';
import {
  type ReferenceAnswer,
  type ReferenceException,
  type ReferenceGrant,
  type ReferenceUser,
  referenceDecision,
  referencePermissions,
  referenceRoles,
  type World,
} from './reference-model.ts';

export interface Question {
  readonly user: string;
  readonly permission: string;
  readonly scope: string;
  readonly at: number;
}

/** Every instant at which something can start or expire, with one before and one after. */
export const instants = [-1, 0, 1, 2, 3, 4, 5];

export const scopes = [
  '',
  'org',
  'org/ac',
  'org/acme',
  'org/acme/billing',
  'org/acme/billing/eu/2024/q1',
  'org/acme-x',
  'Org/acme',
  'orgs',
  'habits',
];

/** Nothing is held at these, but perhaps above them. */
export const inventedScopes = [
  'org/acme/billing/eu',
  'org/acm',
  'org/ac/billing',
  'org/acme.',
  'acme',
  'habits/org/acme',
];

const permissions = ['orders_view', 'orders_view_all', 'a_b_c'];
const neverRegistered = 'orders_view_nothing';
// They sort between the permissions that are asked about, whose numbers are then in three words of a bitset.
const fillers = ['b_', 'orders_view_a'].flatMap((name) =>
  Array.from({ length: 40 }, (_, n) => `${name}${n}`),
);
// A role may be called like a permission or like a member that every JavaScript object has.
const roles = ['admin', 'viewer', 'orders_view', 'constructor', 'loader'];
const users = ['alice', 'Alice'];
const unknownUsers = ['nobody', '__proto__'];

const full = { size: 'max' } as const;
const bound = fc.option(fc.constantFrom(0, 1, 2, 3, 4), { freq: 2 });
const heldScope = fc.constantFrom('', 'org', 'org/acme', ...scopes);
const namedPermission = fc.constantFrom(...permissions, ...permissions, ...permissions, neverRegistered);

export const grants: fc.Arbitrary<ReferenceGrant> = fc.record({
  role: fc.constantFrom(...roles),
  scope: heldScope,
  startsAt: bound,
  expiresAt: bound,
});

export const exceptions: fc.Arbitrary<ReferenceException> = fc.record({
  permission: namedPermission,
  scope: heldScope,
  effect: fc.constantFrom('allow', 'deny'),
  startsAt: bound,
  expiresAt: bound,
});

const userArbitrary: fc.Arbitrary<ReferenceUser> = fc.record({
  active: oneIn(12).map((inactive) => !inactive),
  grants: fc.array(grants, { ...full, maxLength: 5 }),
  exceptions: fc.array(exceptions, { ...full, maxLength: 4 }),
});

const origin = fc.constantFrom('builtin', 'baseline', 'api');
const withheld = oneIn(8);
const standing = fc.constantFrom(...Array<'registered'>(14).fill('registered'), 'retired', undefined);

const smallWorlds: fc.Arbitrary<World> = fc.record({
  permissions: fc.tuple(...permissions.map(() => standing)).map((states) => namedBy(permissions, states)),
  users: fc.tuple(...users.map(() => userArbitrary)).map((states) => namedBy(users, states)),
  includes: fc.uniqueArray(
    fc.record({ role: fc.constantFrom(...roles), included: fc.constantFrom(...roles), origin, withheld }),
    { ...full, selector: (row) => `${row.role} ${row.included} ${row.origin}`, maxLength: 7 },
  ),
  edges: fc.uniqueArray(
    fc.record({ role: fc.constantFrom(...roles), permission: namedPermission, origin, withheld }),
    { ...full, selector: (row) => `${row.role} ${row.permission} ${row.origin}`, maxLength: 10 },
  ),
});

/** Few are wide, because the reference model takes its time with those. */
export const worlds: fc.Arbitrary<World> = fc
  .tuple(smallWorlds, oneIn(16), withheld)
  .map(([world, isWide, isWithheld]) => (isWide ? widened(world, isWithheld) : world));

/** With more permissions than a word has bits, every third of which viewers have. */
function widened(world: World, isWithheld: boolean): World {
  const rows = fillers
    .filter((_, n) => n % 3 === 0)
    .map((filler) => ({ role: 'viewer', permission: filler, origin: 'api', withheld: isWithheld }));
  return {
    ...world,
    permissions: new Map([...fillers.map((slug) => [slug, 'registered'] as const), ...world.permissions]),
    edges: [...world.edges, ...rows],
  };
}

export const questions: fc.Arbitrary<Question> = fc.record({
  user: fc.constantFrom(...users, ...users, ...users, ...users, ...users, ...unknownUsers),
  permission: namedPermission,
  scope: fc.constantFrom(...scopes, ...inventedScopes),
  at: fc.constantFrom(...instants),
});

/** The part of the domain that answers about access; a broken build has its own. */
export type DecisionBuild = Pick<typeof import('../../src/domain/decision/catalogue.ts'), 'Catalogue'> &
  Pick<typeof import('../../src/domain/decision/user-access.ts'), 'compileAccess'> &
  Pick<typeof import('../../src/domain/decision/decide.ts'), 'decide'> &
  Pick<typeof import('../../src/domain/decision/effective-access.ts'), 'effectiveAccess' | 'scopesOf'> &
  Pick<typeof import('../../src/domain/decision/next-change.ts'), 'nextChange'>;

/** Everything that can be said to one question. */
export interface Answers {
  readonly decision: ReferenceAnswer;
  readonly permissions: readonly string[];
  readonly roles: readonly string[];
  readonly nextChange: number | null;
  /** Where the permission is held, and where it is denied. */
  readonly scopes: readonly string[];
  readonly denied: readonly string[];
  /** Where anything is held. */
  readonly scopesOfAnything: readonly string[];
  /** From when (included) to when (not included) nothing of the user starts or expires. */
  readonly from: number;
  readonly until: number;
}

export function answersOf(build: DecisionBuild, world: World, question: Question): Answers {
  const permission = question.permission as PermissionSlug;
  const scope = question.scope as Scope;
  const at: Instant = question.at;
  const catalogue = catalogueOf(world, build.Catalogue);
  const user = accessOf(world, question.user);
  const access = user && build.compileAccess(catalogue, user, at);
  const decision = build.decide(catalogue, access, permission, scope);
  if (access === undefined) return { ...ofNobody, decision };
  return {
    decision,
    ...build.effectiveAccess(access, scope),
    nextChange: build.nextChange(catalogue, access.user, scope, at),
    ...build.scopesOf(access, permission),
    scopesOfAnything: build.scopesOf(access, null).scopes,
    from: access.from,
    until: access.until,
  };
}

/** What they should be, by the reference model, asked at every scope and every later instant that matters. */
export function referenceAnswers(world: World, { user: id, permission, scope, at }: Question): Answers {
  const decision = referenceDecision(world, id, permission, scope, at);
  const user = world.users.get(id);
  if (user === undefined) return { ...ofNobody, decision };
  const listsAt = (instant: number) => ({
    permissions: referencePermissions(world, id, scope, instant),
    roles: referenceRoles(world, id, scope, instant),
  });
  const now = JSON.stringify(listsAt(at));
  const concerned = user.exceptions.filter((exception) => exception.permission === permission);
  const denies = concerned.filter(({ effect, startsAt, expiresAt }) => {
    const hasStarted = startsAt === null || startsAt <= at;
    return effect === 'deny' && hasStarted && (expiresAt === null || expiresAt > at);
  });
  const bounds = [...user.grants, ...user.exceptions]
    .flatMap(({ startsAt, expiresAt }) => [startsAt, expiresAt])
    .filter((instant) => instant !== null);
  return {
    decision,
    ...listsAt(at),
    nextChange: instants.find((later) => later > at && JSON.stringify(listsAt(later)) !== now) ?? null,
    scopes: namedScopes([...user.grants, ...concerned]).filter(
      (named) => referenceDecision(world, id, permission, named, at).allowed,
    ),
    denied: namedScopes(denies),
    scopesOfAnything: namedScopes([...user.grants, ...user.exceptions]).filter(
      (named) => referencePermissions(world, id, named, at).length > 0,
    ),
    from: Math.max(...bounds.filter((instant) => instant <= at)),
    until: Math.min(...bounds.filter((instant) => instant > at)),
  };
}

const ofNobody = {
  permissions: [],
  roles: [],
  nextChange: null,
  scopes: [],
  denied: [],
  scopesOfAnything: [],
  from: Number.NEGATIVE_INFINITY,
  until: Number.POSITIVE_INFINITY,
};

function namedScopes(held: readonly { scope: string }[]): string[] {
  return [...new Set(held.map((each) => each.scope))].sort();
}

/** The catalogue of a world, by another build of the domain if one is given. */
export function catalogueOf(world: World, Build = Catalogue): Catalogue {
  const registered = [...world.permissions].filter(([, state]) => state === 'registered');
  return new Build({
    registered: registered.map(([slug]) => slug as PermissionSlug),
    includes: world.includes.map((row) => ({
      role: row.role as RoleKey,
      included: row.included as RoleKey,
      withheld: row.withheld,
    })),
    edges: world.edges.map((row) => ({
      role: row.role as RoleKey,
      permission: row.permission as PermissionSlug,
      withheld: row.withheld,
    })),
  });
}

/** What a user of a world has, as the domain takes it; undefined for somebody who is not there. */
export function accessOf(world: World, userId: string): UserAccess | undefined {
  const user = world.users.get(userId);
  return (
    user && {
      active: user.active,
      grants: user.grants.map((grant) => ({
        ...grant,
        role: grant.role as RoleKey,
        scope: grant.scope as Scope,
      })),
      exceptions: user.exceptions.map((exception) => ({
        ...exception,
        permission: exception.permission as PermissionSlug,
        scope: exception.scope as Scope,
      })),
    }
  );
}

function oneIn(many: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 1, max: many }).map((dice) => dice === many);
}

function namedBy<State>(
  names: readonly string[],
  states: readonly (State | undefined)[],
): Map<string, State> {
  const named = new Map<string, State>();
  names.forEach((name, index) => {
    const state = states[index];
    if (state !== undefined) named.set(name, state);
  });
  return named;
}
