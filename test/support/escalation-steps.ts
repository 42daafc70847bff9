/**
 * What somebody can bring about step by step: every sequence of calls from a small role graph, by the reference model. A
 * call goes through if its caller holds what it gives or takes; what it leaves is the next state.
 */
import type { Attempt } from './door-walk.ts';
import { judged } from './door-walk.ts';
import { type Door, doors, type Gift, type House } from './doors.ts';
import { type ReferenceUser, referenceDecision, type World } from './reference-model.ts';

/** A key or an identity of somebody else's that the actor has in hand. */
interface Credential {
  readonly user: string;
  readonly permission: string | null;
  readonly scope: string;
}

export interface State {
  readonly world: World;
  readonly inHand: readonly Credential[];
  /** The calls that lead here. */
  readonly path: readonly Attempt[];
}

const [p, q] = ['orders_view', 'a_b_c'] as const;
const grant = (role: string, scope = '', expiresAt: number | null = null) => {
  return { role, scope, startsAt: null, expiresAt };
};
const exception = (permission: string, effect: 'allow' | 'deny', scope = '') => {
  return { permission, effect, scope, startsAt: null, expiresAt: null };
};
const somebody = (user: Partial<ReferenceUser>): ReferenceUser => {
  return { active: true, grants: [], exceptions: [], ...user };
};

/** `viewer` gives one permission and `loader` the other. */
function graph(
  alice: Partial<ReferenceUser>,
  other: Partial<ReferenceUser>,
  includes: string[][] = [],
): World {
  return {
    permissions: new Map([p, q].map((slug) => [slug, 'registered'] as const)),
    users: new Map([
      ['alice', somebody(alice)],
      ['Alice', somebody(other)],
    ]),
    includes: includes.map(([role = '', included = '']) => ({
      role,
      included,
      origin: 'api',
      withheld: false,
    })),
    edges: [
      { role: 'viewer', permission: p, origin: 'api', withheld: false },
      { role: 'loader', permission: q, origin: 'api', withheld: false },
    ],
  };
}

/** What alice begins with, and what somebody has whom she would like to be. */
export const graphs: readonly World[] = [
  graph({ grants: [grant('viewer')] }, { grants: [grant('loader')] }),
  graph(
    { grants: [grant('loader')], exceptions: [exception(p, 'deny', 'org')] },
    { grants: [grant('viewer')] },
    [['loader', 'viewer']],
  ),
  graph({ grants: [grant('viewer', 'org')] }, { grants: [grant('loader')] }),
  graph({ grants: [grant('viewer', '', 3)] }, { active: false, grants: [grant('loader', 'org')] }),
  graph(
    { grants: [grant('loader')] },
    { grants: [grant('viewer')], exceptions: [exception(q, 'deny'), exception(p, 'deny', 'org')] },
    [['viewer', 'loader']],
  ),
  graph({ exceptions: [exception(p, 'allow')] }, { grants: [grant('loader', 'org', 3)] }, [
    ['viewer', 'loader'],
  ]),
];

const anyCall: Attempt = {
  door: 'grantRole',
  caller: 'whole',
  user: 'Alice',
  role: 'viewer',
  other: 'loader',
  permission: p,
  scope: '',
  startsAt: null,
  expiresAt: null,
  effect: 'allow',
  narrowed: false,
};
const people = ['alice', 'Alice'];
const roles = ['viewer', 'loader'];

function* everyCall(): Generator<Partial<Attempt>> {
  const slugs = [p, q];
  for (const user of people)
    for (const scope of ['', 'org']) {
      for (const role of roles) {
        for (const expiresAt of [null, 3]) yield { door: 'grantRole', user, role, scope, expiresAt };
        yield { door: 'revokeRole', user, role, scope };
      }
      for (const permission of slugs) {
        for (const effect of ['allow', 'deny'] as const)
          yield { door: 'setException', user, permission, scope, effect };
        yield { door: 'endException', user, permission, scope };
      }
    }
  for (const [role = '', other = ''] of [roles, roles.toReversed()]) {
    for (const door of ['includeRole', 'excludeRole'] as const) yield { door, role, other };
    for (const door of ['giveRolePermission', 'withholdRolePermission'] as const)
      for (const permission of slugs) yield { door, role, permission };
    yield { door: 'deleteRole', role };
  }
  for (const scope of ['', 'org']) {
    yield { door: 'createKey', scope };
    for (const permission of slugs) yield { door: 'createKey', narrowed: true, permission, scope };
  }
  for (const narrowed of [true, false]) yield { door: 'updateUser', narrowed };
  for (const door of ['linkIdentity', 'deleteUser', 'createUser'] as const) yield { door };
  for (const permission of slugs) yield { door: 'retirePermission', permission };
}

/** What alice may try at each step. */
export const calls: readonly Attempt[] = [...everyCall()].map((call) => ({ ...anyCall, ...call }));

/** The house as it stands in a state. */
export function houseIn(house: House, { world }: State): House {
  return {
    ...house,
    stored: { ...house.stored, world },
    world: judged(world, null),
    alterable: (user) => world.users.get(user)?.grants ?? [],
  };
}

const places = ['', 'org', 'org/x', 'x'];
const instants = [1, 2, 3, 4];
const isAt = (upper: string, scope: string) =>
  upper === '' || scope === upper || scope.startsWith(`${upper}/`);

/** What of a gift alice holds; 1 is the instant at which everything is tried. */
function holds(world: World, { permission, scope, startsAt, expiresAt }: Gift): boolean {
  const during = instants.filter((at) => at >= (startsAt ?? 1) && at < (expiresAt ?? 5));
  const below = places.filter((place) => isAt(scope, place));
  return during.every((at) =>
    below.every((place) => referenceDecision(world, 'alice', permission, place, at).allowed),
  );
}

/** What alice can do in a state: by herself, and with what she has in hand of others. */
function powerIn({ world, inHand }: State): ReadonlySet<string> {
  const power = new Set<string>();
  const hands = [{ user: 'alice', permission: null, scope: '' }, ...inHand];
  for (const permission of [p, q])
    for (const place of places)
      for (const at of instants)
        for (const hand of hands)
          if (isAt(hand.scope, place) && (hand.permission ?? permission) === permission)
            if (referenceDecision(world, hand.user, permission, place, at).allowed)
              power.add(`${permission} ${place} ${at}`);
  return power;
}

/** What a call that goes through leaves. */
function after({ world, inHand, path }: State, one: Attempt): State {
  const { door, user, role, other, permission, scope, startsAt, expiresAt, effect, narrowed } = one;
  const done = { path: [...path, one], inHand };
  const held = world.users.get(user);
  const keyed = { user, permission: door === 'createKey' && narrowed ? permission : null };
  const withUser = (change: Partial<ReferenceUser>) =>
    held ? { ...world, users: new Map([...world.users, [user, { ...held, ...change }]]) } : world;
  const grants = (held?.grants ?? []).filter((each) => each.role !== role || each.scope !== scope);
  const exceptions = (held?.exceptions ?? []).filter(
    (each) => each.permission !== permission || each.scope !== scope,
  );
  const edges = world.edges.filter((row) => row.role !== role || row.permission !== permission);
  const includes = world.includes.filter((row) => row.role !== role || row.included !== other);
  const row = { role, origin: 'api', withheld: false };
  const everybody = (change: (one: ReferenceUser) => ReferenceUser) =>
    new Map([...world.users].map(([id, each]) => [id, change(each)]));
  switch (door) {
    case 'grantRole':
      return { ...done, world: withUser({ grants: [...grants, { role, scope, startsAt, expiresAt }] }) };
    case 'revokeRole':
      return { ...done, world: withUser({ grants }) };
    case 'setException':
      return {
        ...done,
        world: withUser({ exceptions: [...exceptions, { permission, scope, effect, startsAt, expiresAt }] }),
      };
    case 'endException':
      return { ...done, world: withUser({ exceptions }) };
    case 'giveRolePermission':
      return { ...done, world: { ...world, edges: [...edges, { ...row, permission }] } };
    case 'withholdRolePermission':
      return { ...done, world: { ...world, edges } };
    case 'includeRole':
      // The other way round it would be a circle, which is refused.
      if (includes.some((each) => each.role === other && each.included === role)) return { ...done, world };
      return { ...done, world: { ...world, includes: [...includes, { ...row, included: other }] } };
    case 'excludeRole':
      return { ...done, world: { ...world, includes } };
    case 'updateUser':
      return { ...done, world: withUser({ active: narrowed }) };
    case 'deleteUser':
      return {
        ...done,
        world: { ...world, users: new Map([...world.users].filter(([id]) => id !== user)) },
        inHand: inHand.filter((each) => each.user !== user),
      };
    case 'createUser':
      return held ? { ...done, world } : { ...done, world: withNew(world, user) };
    case 'createKey':
    case 'linkIdentity':
      if (!held) return { ...done, world };
      return { ...done, world, inHand: [...inHand, { ...keyed, scope: door === 'createKey' ? scope : '' }] };
    case 'retirePermission':
      return {
        ...done,
        world: {
          ...world,
          permissions: new Map([...world.permissions, [permission, 'retired']]),
          edges: world.edges.filter((each) => each.permission !== permission),
          users: everybody((each) => ({
            ...each,
            exceptions: each.exceptions.filter((exception) => exception.permission !== permission),
          })),
        },
      };
    case 'deleteRole':
      return {
        ...done,
        world: {
          ...world,
          edges: world.edges.filter((each) => each.role !== role),
          includes: world.includes.filter((each) => each.role !== role && each.included !== role),
          users: everybody((each) => ({ ...each, grants: each.grants.filter((one) => one.role !== role) })),
        },
      };
    default:
      throw new Error(`what ${door} leaves is not said`);
  }
}

const withNew = (world: World, user: string): World => ({
  ...world,
  users: new Map([...world.users, [user, somebody({})]]),
});

/** Whether a call names something that is no more, which is refused whoever asks. */
function namesNothing({ world, path }: State, { door, user, role, other, permission }: Attempt): boolean {
  const gone = (key: string) => path.some((step) => step.door === 'deleteRole' && step.role === key);
  const ofRole = /Role/.test(door) && (gone(role) || (/(in|ex)cludeRole/.test(door) && gone(other)));
  const ofPermission =
    (/Permission|Exception/.test(door) || door === 'createKey') &&
    world.permissions.get(permission) === 'retired';
  return ofRole || ofPermission || (door !== 'createUser' && !world.users.has(user));
}

const nameOf = ({ world, inHand }: State) => {
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort();
  const users = [...world.users]
    .sort()
    .map(([id, user]) => [...[id, user.active, sorted(user.grants), sorted(user.exceptions)]]);
  const all = [[...world.permissions], users, sorted(world.edges), sorted(world.includes), sorted(inHand)];
  return JSON.stringify(all);
};

export interface Explored {
  /** All that can be reached by up to one step less than was asked for, the beginning first. */
  readonly states: readonly State[];
  /** Calls that were judged. */
  readonly judged: number;
  /** What ended with more than it began with. */
  readonly escalations: readonly State[];
}

/** Follows every sequence of so many calls at most, breadth first. `empty` is a house with nothing in it. */
export function explore(beginning: World, steps: number, empty: House): Explored {
  const initial: State = { world: beginning, inHand: [], path: [] };
  const limit = powerIn(initial);
  const known = new Map([[nameOf(initial), initial]]);
  const escalations: State[] = [];
  let frontier = [initial];
  let count = 0;
  for (let step = 1; step <= steps; step += 1) {
    const next: State[] = [];
    for (const state of frontier) {
      const house = houseIn(empty, state);
      for (const call of calls) {
        count += 1;
        if (namesNothing(state, call)) continue;
        const door: Door = doors[call.door];
        const gifts = (
          call.user === 'alice' && door.own ? door.own(house, call) : door.gifts(house, call)
        ) as Gift[];
        if (!gifts.every((gift) => holds(house.world, gift))) continue;
        const reached = after(state, call);
        const name = nameOf(reached);
        if (known.has(name)) continue;
        known.set(name, reached);
        next.push(reached);
        if ([...powerIn(reached)].some((one) => !limit.has(one))) escalations.push(reached);
      }
    }
    frontier = next;
  }
  const states = [...known.values()].filter(({ path }) => path.length < steps);
  return { states, judged: count, escalations };
}
