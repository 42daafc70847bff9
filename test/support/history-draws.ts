/**
 * How random histories are drawn: some commands lay a ground, some are about anything at all, and some follow up on an
 * earlier one, since what is never taken back or given twice shows little.
 */
import fc from 'fast-check';
import {
  type Change,
  type Kind,
  type Members,
  malformed,
  type permissions,
  type Step,
  scopes,
  type WindowName,
} from './history-commands.ts';

/** One of the names, each as often as its weight says. */
function among<Name extends string>(weights: Readonly<Record<Name, number>>): fc.Arbitrary<Name> {
  const names = Object.keys(weights) as Name[];
  return fc.constantFrom(...names.flatMap((name) => Array<Name>(weights[name]).fill(name)));
}

function oneIn(many: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 1, max: many }).map((dice) => dice === many);
}

function upToThree<T>(item: fc.Arbitrary<T>, minLength: number): fc.Arbitrary<T[]> {
  return fc.array(item, { minLength, maxLength: 3, size: 'max' });
}

const user = among({ ann: 8, Ann: 4, 'auth0|x/y %2F@ü': 1, root: 1 });
const role = among({ crew: 5, loader: 3, manager: 3, 'crew-x': 1, viewer: 1, admin: 1 });
const permission = among({
  'h.view': 5,
  'orders:view_order': 3,
  'documents.view_document': 3,
  orders_load_order: 2,
  'orders.approve_order': 1,
  'rolecall.check': 1,
  h_view_all: 1,
  'h.never_registered': 1,
} satisfies Record<(typeof permissions)[number], number>);
/** `h.view_all` and `h_view.all` would share a slug. */
const name = among({ 'h.view': 4, 'h.view_all': 2, 'h:view_all': 1, 'h_view.all': 2, 'rolecall.check': 1 });
const scope = fc.oneof(
  { weight: 4, arbitrary: among({ '': 5, 'org/acme': 3, org: 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(...scopes, malformed) },
);
const window = among({
  always: 4,
  spanning: 2,
  started: 2,
  ending: 2,
  past: 1,
  future: 1,
  later: 1,
  ended: 1,
  backwards: 1,
  empty: 1,
});
const effect = among({ deny: 2, allow: 1 });
const reason = fc.constantFrom(null, null, 'stock-taking');
const grantPlace = { user, role, scope };
const exceptionPlace = { user, permission, scope };

type Draws<K extends Kind> = { readonly [Member in keyof Members[K]]: fc.Arbitrary<Members[K][Member]> };

function draw<K extends Kind>(kind: K, members: Draws<K>): fc.Arbitrary<Change> {
  const drawn = fc.record(members as Record<string, fc.Arbitrary<unknown>>);
  return drawn.map((rest) => ({ kind, ...rest }) as Change);
}

function weighted<K extends Kind>(weight: number, kind: K, members: Draws<K>) {
  return { weight, arbitrary: draw(kind, members) };
}

/** What meets the layers and the order of roles: leaves tombstones, lifts them, is withheld or would lead in a circle. */
const overTheMatrix: readonly Change[] = [
  { kind: 'withhold', role: 'loader', permission: 'orders_load_order' },
  { kind: 'give', role: 'loader', permission: 'orders_load_order' },
  { kind: 'withhold', role: 'manager', permission: 'documents.view_document' },
  { kind: 'give', role: 'manager', permission: 'documents.view_document' },
  { kind: 'give', role: 'manager', permission: 'orders.approve_order' },
  { kind: 'exclude', role: 'manager', other: 'viewer' },
  { kind: 'include', role: 'manager', other: 'viewer' },
  { kind: 'include', role: 'loader', other: 'viewer' },
  { kind: 'include', role: 'crew', other: 'crew' },
  { kind: 'include', role: 'loader', other: 'crew' },
];

/** What would leave nobody to repair anything. */
const againstRoot: readonly Change[] = [
  { kind: 'set active', user: 'root', active: false },
  { kind: 'delete user', user: 'root' },
  { kind: 'revoke', user: 'root', role: 'admin', scope: '' },
  { kind: 'grant', user: 'root', role: 'admin', scope: '', window: 'ending', reason: null },
  {
    kind: 'except',
    user: 'root',
    permission: 'rolecall.check',
    scope: 'org',
    effect: 'deny',
    window: 'always',
    reason: null,
  },
];

const anything = fc.oneof(
  weighted(3, 'create user', { user, active: oneIn(4).map((inactive) => !inactive) }),
  weighted(5, 'set active', { user, active: fc.boolean() }),
  weighted(2, 'delete user', { user }),
  weighted(14, 'grant', { ...grantPlace, window, reason }),
  weighted(3, 'revoke', grantPlace),
  weighted(14, 'except', { ...exceptionPlace, effect, window, reason }),
  weighted(2, 'end exception', exceptionPlace),
  weighted(4, 'register', { permissions: upToThree(name, 1) }),
  weighted(5, 'retire', { permission }),
  weighted(1, 'create role', { role }),
  weighted(5, 'delete role', { role }),
  weighted(6, 'give', { role, permission }),
  weighted(5, 'withhold', { role, permission }),
  { weight: 14, arbitrary: fc.constantFrom(...overTheMatrix) },
  { weight: 4, arbitrary: fc.constantFrom(...againstRoot) },
  weighted(5, 'replace', { role, permissions: upToThree(permission, 0), stale: oneIn(3) }),
  weighted(6, 'include', { role, other: role }),
  weighted(4, 'exclude', { role, other: role }),
  weighted(3, 'create key', {
    user,
    narrowedTo: fc.option(upToThree(permission, 1), { freq: 2 }),
    window: among({ always: 2, ending: 1, ended: 1 }),
  }),
  weighted(2, 'revoke key', { which: fc.nat(2) }),
);

const ann = fc.constant('ann' as const);
const crew = fc.constant('crew' as const);
const always = fc.constant('always' as const);

/** What gives the rest of a history something to work on, and how often it is left out: one time in so many. */
const ground: readonly (readonly [fc.Arbitrary<Change>, number])[] = [
  [fc.constant({ kind: 'create user', user: 'ann', active: true }), 20],
  [draw('register', { permissions: fc.constantFrom(['h.view'], ['h.view', 'h.view_all']) }), 15],
  [fc.constant({ kind: 'create role', role: 'crew' }), 15],
  [
    draw('give', {
      role: crew,
      permission: among({ 'h.view': 3, 'orders:view_order': 1, 'rolecall.check': 2 }),
    }),
    6,
  ],
  [draw('include', { role: crew, other: among({ loader: 2, manager: 2 }) }), 3],
  [
    draw('grant', {
      ...grantPlace,
      user: ann,
      role: among({ crew: 6, loader: 1, manager: 1 }),
      window: always,
      reason,
    }),
    10,
  ],
  [fc.constant({ kind: 'create user', user: 'Ann', active: true }), 3],
  [draw('except', { ...exceptionPlace, user: ann, effect, window: always, reason }), 2],
  [
    draw('create key', {
      user: ann,
      narrowedTo: fc.constantFrom(null, ['h.view'], ['rolecall.check', 'h.view']),
      window: always,
    }),
    2,
  ],
  [
    draw('grant', {
      ...grantPlace,
      user: ann,
      role: among({ crew: 1, loader: 1, manager: 1 }),
      window,
      reason,
    }),
    2,
  ],
];

/** A command that takes up what an earlier one, by its place, was about. */
interface FollowUp {
  readonly on: number;
  readonly how: 'take back' | 'repeat' | 'alter' | 'oppose';
  readonly window: WindowName;
}

/** By their places: of the ground, mostly what gives and denies; anything later as it comes. */
const worthFollowing = [
  1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6, 7, 7, 7, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15,
];

const followUp: fc.Arbitrary<FollowUp> = fc.record({
  on: fc.constantFrom(...worthFollowing),
  how: among({ 'take back': 6, alter: 3, oppose: 2, repeat: 2 }),
  window,
});

function followedUp(earlier: Change, { how, window: newWindow }: FollowUp): Change {
  if (how === 'take back') return takenBack(earlier);
  if (how === 'repeat') return earlier;
  if (earlier.kind === 'grant') return { ...earlier, window: newWindow };
  if (earlier.kind === 'except') {
    const opposite = earlier.effect === 'deny' ? 'allow' : 'deny';
    const elsewhere = earlier.scope === '' ? 'org/acme' : '';
    return { ...earlier, effect: opposite, scope: how === 'oppose' ? elsewhere : earlier.scope };
  }
  if (earlier.kind === 'give') return { ...earlier, kind: 'replace', permissions: [], stale: false };
  return takenBack(earlier);
}

function takenBack(change: Change): Change {
  switch (change.kind) {
    case 'create user':
      return { kind: 'set active', user: change.user, active: !change.active };
    case 'set active':
      return { ...change, active: !change.active };
    case 'delete user':
      return { kind: 'create user', user: change.user, active: true };
    case 'grant':
      return { kind: 'revoke', user: change.user, role: change.role, scope: change.scope };
    case 'except':
      return { kind: 'end exception', user: change.user, permission: change.permission, scope: change.scope };
    case 'register':
      return { kind: 'retire', permission: change.permissions[0] ?? 'h.view' };
    case 'retire':
      return { kind: 'register', permissions: [change.permission === 'h.view' ? 'h.view' : 'h.view_all'] };
    case 'create role':
      return { kind: 'delete role', role: change.role };
    case 'delete role':
      return { kind: 'create role', role: change.role };
    case 'give':
      return { ...change, kind: 'withhold' };
    case 'withhold':
      return { ...change, kind: 'give' };
    case 'include':
      return { ...change, kind: 'exclude' };
    case 'exclude':
      return { ...change, kind: 'include' };
    case 'create key':
      return { kind: 'revoke key', which: 0 };
    default:
      return change;
  }
}

interface Place {
  readonly isLeftOut: boolean;
  readonly what: Change | FollowUp;
  readonly how: Omit<Step, 'change'>;
}

/** A place in a history. It shrinks only by being left out: what stands in it is short enough to be read. */
function place(
  what: fc.Arbitrary<Change | FollowUp>,
  leftOutOneIn: number,
  dryOneIn: number,
): fc.Arbitrary<Place> {
  const ask = fc.record({ user, permission, scope: fc.constantFrom('', 'org/acme', 'org/acme', ...scopes) });
  return fc.record({
    isLeftOut: fc.integer({ min: 1, max: leftOutOneIn }).map((dice) => dice === 1),
    what: fc.noShrink(what),
    how: fc.noShrink(fc.record({ dry: oneIn(dryOneIn), twice: oneIn(6), ask })),
  });
}

/** Eight to seventeen commands. */
export const histories: fc.Arbitrary<Step[]> = fc
  .noBias(
    fc.tuple(
      ...ground.map(([change, leftOutOneIn]) => place(change, leftOutOneIn, 30)),
      ...Array.from({ length: 7 }, () => place(fc.oneof(anything, followUp), 10, 8)),
    ),
  )
  .map(stepsOf);

/** Says in full what the follow-ups mean, also those that follow up on what was left out. */
function stepsOf(places: readonly Place[]): Step[] {
  const changes: Change[] = [];
  return places.flatMap(({ isLeftOut, what, how }) => {
    const change = 'kind' in what ? what : followedUp((changes[what.on] ?? changes.at(-1)) as Change, what);
    changes.push(change);
    return isLeftOut ? [] : [{ change, ...how }];
  });
}
