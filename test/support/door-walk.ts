/**
 * Random worlds in the database of a real service, and somebody in each who tries doors: with all that they have, with a
 * narrowed key, and through somebody who acts for them. What they may do is said by the reference model.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { covers } from '../../src/domain/scopes.ts';
import { operatorCall } from '../../src/services/call.ts';
import {
  type Door,
  type DoorName,
  doors,
  type Gift,
  type House,
  identityOf,
  keyedScope,
  mappedRole,
  type Request,
  type Try,
} from './doors.ts';
import { type ReferenceUser, referenceDecision, type World } from './reference-model.ts';
import { type Build, type Replica, startReplicas } from './replicas.ts';
import { roleIn, type StoredWorld, slugIn, storable, store, userIn } from './stored-worlds.ts';
import { inventedScopes, scopes, worlds } from './worlds.ts';

/** Tries under way at the same time. */
export const atOnce = 8;
const hourMs = 3_600_000;

export const doorNames = Object.keys(doors) as DoorName[];

export interface Attempt extends Try {
  readonly door: DoorName;
  readonly caller: 'whole' | 'narrowed' | 'acting';
}

const attempts: fc.Arbitrary<Attempt> = fc.record({
  door: fc.constantFrom(...doorNames),
  /** With all that Alice has, with a key of a list, or through a backend that acts for her. */
  caller: fc.constantFrom('whole', 'whole', 'narrowed', 'acting'),
  user: fc.constantFrom('alice', 'Alice'),
  role: fc.constantFrom('admin', 'viewer', 'loader', 'constructor'),
  other: fc.constantFrom('admin', 'viewer', 'loader'),
  permission: fc.constantFrom('orders_view', 'orders_view_all', 'a_b_c'),
  scope: fc.constantFrom('', 'org', 'org/acme', 'org/acme/billing', 'org/ac'),
  startsAt: fc.option(fc.constantFrom(1, 2), { freq: 2 }),
  expiresAt: fc.option(fc.constantFrom(3, 4), { freq: 2 }),
  effect: fc.constantFrom('allow', 'deny'),
  narrowed: fc.boolean(),
});

/** Where alice may escalate, if anywhere. */
const escalation = fc.option(fc.constantFrom('', 'org', 'org/acme'), { freq: 4 });

/** The right to use every route, as the one permission that it is here. */
const office = 'rolecall_office';
const escalate = 'rolecall_escalate';

/** The same world with what its people hold of the service's own permissions. */
export function judged(world: World, escalates: string | null): World {
  const forGood = { startsAt: null, expiresAt: null };
  const holding = (id: string, ...more: { role: string; scope: string }[]): [string, ReferenceUser] => {
    const { active = true, grants = [], exceptions = [] } = world.users.get(id) ?? {};
    const held = [{ role: 'office', scope: '' }, ...more].map((one) => ({ ...one, ...forGood }));
    return [id, { active, grants: [...grants, ...held], exceptions }];
  };
  const edge = (role: string, permission: string) => ({ role, permission, origin: 'api', withheld: false });
  return {
    permissions: new Map([...world.permissions, [office, 'registered'], [escalate, 'registered']]),
    includes: world.includes,
    edges: [...world.edges, edge('office', office), edge('escalator', escalate)],
    users: new Map([
      ...world.users,
      holding('alice', ...(escalates === null ? [] : [{ role: 'escalator', scope: escalates }])),
      holding('backend'),
    ]),
  };
}

/** What decides, asked often of few things. */
function rememberingDecision(world: World) {
  const known = new Map<string, boolean>();
  return (user: string, permission: string, scope: string, at: number): boolean => {
    const question = `${user} ${permission} ${scope} ${at}`;
    const answer = known.get(question) ?? referenceDecision(world, user, permission, scope, at).allowed;
    known.set(question, answer);
    return answer;
  };
}

/** Whether somebody has what is given, wherever it counts and at every instant of it that is still to come. */
function holds(
  decision: ReturnType<typeof rememberingDecision>,
  user: string,
  { permission, scope, startsAt, expiresAt }: Gift,
  at: number,
): boolean {
  const below = [...scopes, ...inventedScopes, `${scope}/x`].filter((one) =>
    covers(scope as Scope, one as Scope),
  );
  const instants = [at, 0, 1, 2, 3, 4, 5].filter(
    (instant) => instant >= Math.max(at, startsAt ?? at) && instant < (expiresAt ?? Number.POSITIVE_INFINITY),
  );
  return instants.every((instant) => below.every((one) => decision(user, permission, one, instant)));
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says
  readonly body: any;
  readonly etag: string;
}

type Headers = Readonly<Record<string, string>>;
type Ask = (
  method: Request['method'] | 'GET',
  path: string,
  headers: Headers,
  body?: object,
) => Promise<Answer>;

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** A service with the roles that every world needs. */
export async function openStreet(build?: Build) {
  const { replicas, adminKey, sql, close } = await startReplicas(1, {
    ...(build && { build }),
    variables: { ROLECALL_WRONG_KEY_LIMIT: '1000000' },
  });
  const [{ app, runtime }] = replicas as [Replica];
  const root = bearer(adminKey);
  const ask: Ask = async (method, url, headers, payload) => {
    const answer = await app.inject({ method, url, headers, ...(payload && { payload }) });
    return { status: answer.statusCode, body: answer.json(), etag: String(answer.headers['etag']) };
  };
  for (const key of ['office', 'escalator']) await ask('POST', '/roles', root, { key, name: key });
  await ask('PUT', `/roles/escalator/permissions/${escalate}`, root);
  const { body } = await ask('GET', '/permissions?resource=rolecall&limit=200', root);
  const slugs = body.data.map(({ permission }: { permission: string }) => permission);
  const offices: readonly string[] = slugs.filter((slug: string) => slug !== escalate);
  for (const slug of offices) await ask('PUT', `/roles/office/permissions/${slug}`, root);
  return { runtime, sql, offices, ask, root, close };
}
export type Street = Awaited<ReturnType<typeof openStreet>>;

/** Whom to come as: the headers of each caller. */
type Callers = Readonly<Record<Attempt['caller'], Headers>>;

export interface Moved {
  readonly house: House;
  readonly callers: Callers;
  /** What the narrowed key is narrowed to. */
  readonly listed: ReadonlySet<string>;
}

/** Builds the world into the database, past the service, and makes in it what the doors need. */
export async function moveIn(
  { runtime, sql, offices, ask, root }: Street,
  stored: StoredWorld,
  escalates: string | null,
): Promise<Moved> {
  const { number, at } = stored;
  const [alice, backend] = [userIn(stored, 'alice'), userIn(stored, 'backend')];
  const zero = await sql.begin(async (tx) => {
    await store(tx, [stored]);
    await tx`update rolecall.user_roles set origin = 'api' where origin = 'origin-0'`;
    await tx`insert into rolecall.user_roles (user_pk, role_pk, origin)
      select users.pk, roles.pk, 'office' from rolecall.users, rolecall.roles
      where id in (${alice}, ${backend}) and key = 'office'`;
    if (escalates !== null)
      await tx`insert into rolecall.user_roles (user_pk, role_pk, origin, scope)
        select users.pk, roles.pk, 'office', ${escalates} from rolecall.users, rolecall.roles
        where id = ${alice} and key = 'escalator'`;
    await tx`update rolecall.revision set value = value + 1, catalogue_value = value + 1`;
    const [row] = await tx<[{ now: number }]>`
      select (extract(epoch from date_trunc('milliseconds', now())) * 1000)::float8 as now`;
    return row.now - at * hourMs;
  });
  const operator = () => operatorCall(20_000);
  const { apiKeys, identities, mappings } = runtime;
  const permission = [...stored.world.permissions].find(([, state]) => state === 'registered')?.[0];
  const ofPermission = permission === undefined ? [] : [slugIn(stored, permission)];
  const newKey = async (user: string, permissions: readonly string[] | null, scope = '') => {
    const terms = { user: user as UserId, name: 'x', permissions, scope: scope as Scope, expiresAt: null };
    return (await apiKeys.create(operator(), terms as Parameters<typeof apiKeys.create>[1])).value;
  };
  const whole = String((await newKey(alice, null)).key);
  const narrowed = String((await newKey(alice, [...offices, ...ofPermission])).key);
  const through = String((await newKey(backend, null)).key);
  const target = await newKey(
    userIn(stored, 'Alice'),
    permission === undefined ? null : ofPermission,
    keyedScope,
  );
  // Somebody has one to be unlinked.
  const linked = userIn(stored, 'Alice') as UserId;
  await identities.link(operator(), linked, identityOf(stored, 'Alice'));
  const rule = { issuer: 'https://idp', claim: ['groups'], value: `w${number}` };
  const role = roleIn(stored, mappedRole) as RoleKey;
  const { mapping } = (await mappings.create(operator(), { ...rule, role, scope: keyedScope as Scope }))
    .value;
  const house: House = {
    stored,
    world: judged(stored.world, escalates),
    // The others are of origins of their own.
    alterable: (user) => stored.world.users.get(user)?.grants.slice(0, 1) ?? [],
    at,
    zero,
    key: { id: target.id, permission },
    mapping: mapping.id,
    planOf: async (body) => (await ask('POST', '/matrix/plan', root, body)).body.changes ?? [],
  };
  const acting = { ...bearer(through), 'rolecall-act-for': encodeURIComponent(alice) };
  const callers = { whole: bearer(whole), narrowed: bearer(narrowed), acting };
  return { house, callers, listed: new Set([office, ...(permission === undefined ? [] : [permission])]) };
}

/** Leaves the names of a world, and takes away what they mean. */
export async function moveOut({ sql, ask, root }: Street, { number }: StoredWorld): Promise<void> {
  const ofWorld = `w${number}-%`;
  await sql.begin(async (tx) => {
    for (const table of ['role_permissions', 'role_includes'])
      await tx`delete from rolecall.${tx(table)} where role_pk in (select pk from rolecall.roles where key like ${ofWorld})`;
    await tx`update rolecall.revision set value = value + 1, catalogue_value = value + 1`;
  });
  const path = '/settings/default_role';
  const { etag } = await ask('GET', path, root);
  await ask('PATCH', path, { ...root, 'if-match': etag }, { value: null });
}

/** What everybody of a world may do, everywhere where anybody has anything. */
export async function accessIn({ ask, root }: Street, stored: StoredWorld): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const user of stored.world.users.keys())
    for (const scope of scopes) {
      const id = userIn(stored, user);
      const { body } = await ask('GET', `/users/${encodeURIComponent(id)}/permissions?scope=${scope}`, root);
      if (body.permissions?.length > 0) found.set(`${id} ${scope}`, body.permissions);
    }
  return found;
}

/** What an answer says of it: at every scope, by what is said of the nearest above at which somebody has something. */
function told(before: Map<string, string[]>, after: Map<string, string[]>, { body }: Answer): void {
  for (const { user, scopes: changed } of body.impact.changes)
    for (const { scope, gained, lost } of changed) {
      const [had, has] = [new Set(before.get(`${user} ${scope}`)), new Set(after.get(`${user} ${scope}`))];
      expect(gained, `${user} gains in ${scope}`).toEqual([...has].filter((slug) => !had.has(slug)));
      expect(lost, `${user} loses in ${scope}`).toEqual([...had].filter((slug) => !has.has(slug)));
    }
  const people = new Set<string>();
  for (const place of new Set([...before.keys(), ...after.keys()]))
    if (String(before.get(place) ?? []) !== String(after.get(place) ?? []))
      people.add(place.split(' ')[0] as string);
  expect(new Set(body.impact.changes.map(({ user }: { user: string }) => user))).toEqual(people);
  expect(body.impact).toMatchObject({ users: people.size, usersLeftOut: 0 });
}

/** What came of the tries. */
export interface Seen {
  given: number;
  refused: number;
  nothingToChange: number;
  /** How often each door was gone through in earnest. */
  readonly inEarnest: Map<DoorName, number>;
}

export const nothingSeen = (): Seen => ({ given: 0, refused: 0, nothingToChange: 0, inEarnest: new Map() });

/**
 * Somebody in a house. `attempt` tries a door in a dry run, and resolves to the answer if it would change anything; it throws
 * where the door lets through what it must not, or refuses what it must let through. `go` goes.
 */
export function visit({ ask, root }: Street, { house, callers, listed }: Moved, seen: Seen) {
  const { at, world } = house;
  const decision = rememberingDecision(world);
  const versions = new Map<string, Promise<Answer>>();

  async function go(one: Attempt, dryRun: boolean): Promise<Answer> {
    const door: Door = doors[one.door];
    const { method, path, body, matching } = door.request(house, one);
    if (matching !== undefined && !versions.has(matching)) versions.set(matching, ask('GET', matching, root));
    const version = matching === undefined ? undefined : await versions.get(matching);
    const headers = { ...callers[one.caller], ...(version && { 'if-match': version.etag }) };
    const url = `${path}${path.includes('?') ? '&' : '?'}dryRun=${dryRun}`;
    return ask(method, url, headers, body);
  }

  /** Whether the caller, and whoever acts for them, has what is given or may escalate where it counts. */
  function mayGive(gift: Gift, { caller }: Attempt): boolean {
    const isOver = ({ expiresAt }: Gift) => expiresAt !== null && expiresAt <= at;
    const has = (user: string, one: Gift) =>
      isOver(one) ||
      ((caller !== 'narrowed' || listed.has(one.permission)) && holds(decision, user, one, at));
    const now = { startsAt: at, expiresAt: at + 1 };
    return ['alice', ...(caller === 'acting' ? ['backend'] : [])].every(
      (user) => has(user, gift) || has(user, { permission: escalate, scope: gift.scope, ...now }),
    );
  }

  async function attempt(one: Attempt): Promise<Answer | undefined> {
    const door: Door = doors[one.door];
    const answer = await go(one, true);
    const { status, body } = answer;
    const code =
      body.outcomes?.[0]?.code ?? (body.code === 'batch_refused' ? body.errors[0].code : body.code);
    const isOwn = one.caller === 'whole' && one.user === 'alice';
    const gifts = await (isOwn && door.own ? door.own(house, one) : door.gifts(house, one));
    const may = gifts.every((gift) => mayGive(gift, one));
    const what = `${JSON.stringify(one)} of ${JSON.stringify(gifts)} in ${JSON.stringify([...world.users])}`;
    if (code === 'exceeds_own_access') {
      expect(may, `refused: ${what}`).toBe(false);
      seen.refused += 1;
    } else if (status < 300 && code === undefined && (body.changed || may)) {
      expect(may, `let through: ${what}`).toBe(true);
      seen.given += 1;
      for (const change of body.impact.changes)
        for (const { scope, gained } of change.scopes)
          for (const slug of gained) {
            const gift = { permission: slug.replace(/^w\d+_/, ''), scope, startsAt: at, expiresAt: at + 1 };
            expect(mayGive(gift, one), `${slug} in ${scope}: ${what}`).toBe(true);
          }
      return body.changed ? answer : undefined;
    } else {
      // Nothing there to change, or it cannot be changed by anybody.
      expect(body.changed ?? status, `${body.detail} ${what}`).toBeOneOf([false, 404, 409]);
      seen.nothingToChange += 1;
    }
    return undefined;
  }
  return { go, attempt };
}

/** Tries doors of a world, goes through one of them, and throws where that is not as it was told. */
export async function walk(street: Street, stored: StoredWorld, one: Walk, seen: Seen): Promise<void> {
  const { go, attempt } = visit(street, await moveIn(street, stored, one.escalates), seen);
  const open: { readonly one: Attempt; readonly answer: Answer }[] = [];
  for (let first = 0; first < one.tried.length; first += atOnce)
    await Promise.all(
      one.tried.slice(first, first + atOnce).map(async (tried) => {
        const answer = await attempt(tried);
        if (answer) open.push({ one: tried, answer });
      }),
    );

  // One is done in earnest when all others were tried: of those that go, through the door that was gone through least.
  const times = ({ one: { door } }: (typeof open)[number]) => seen.inEarnest.get(door) ?? 0;
  const [last] = open.toSorted((a, b) => times(a) - times(b));
  if (last) {
    seen.inEarnest.set(last.one.door, times(last) + 1);
    const before = await accessIn(street, stored);
    const { body } = await go(last.one, false);
    expect(body).toMatchObject({ changed: true });
    told(before, await accessIn(street, stored), last.answer);
  }
  await moveOut(street, stored);
}

/** A world, where its alice may escalate, and what is tried in it. */
export const walks = (tries: number) =>
  fc.record({
    world: worlds,
    escalates: escalation,
    tried: fc.array(attempts, { minLength: tries, maxLength: tries, size: 'max' }),
  });
export type Walk = ReturnType<typeof walks> extends fc.Arbitrary<infer T> ? T : never;

/** A drawn world as it is stored: alice is there to try, and somebody with what Alice has to act for her. */
export function peopled({ world }: Walk, number: number): StoredWorld {
  const { grants, exceptions } = world.users.get('Alice') ?? { grants: [], exceptions: [] };
  const people = [...world.users, ['backend', { active: true, grants, exceptions }]] as const;
  const users = people.map(([id, user]) => [id, { ...user, active: user.active || id === 'alice' }] as const);
  return { number, world: storable({ ...world, users: new Map(users) }), at: 1 };
}
