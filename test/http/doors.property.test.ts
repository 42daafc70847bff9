import fc from 'fast-check';
import postgres from 'postgres';
import type { Response } from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Scope, UserId } from '../../src/domain/ids.ts';
import { covers } from '../../src/domain/scopes.ts';
import { operatorCall } from '../../src/services/call.ts';
import { triedDoors } from '../support/door-names.ts';
import { long } from '../support/long-run.ts';
import { referenceDecision, referencePermissions, type World } from '../support/reference-model.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { roleIn, type StoredWorld, slugIn, storable, store, userIn } from '../support/stored-worlds.ts';
import { inventedScopes, scopes, worlds } from '../support/worlds.ts';

/** Of doors tried in dry runs; each world is walked through by one of them in earnest at the end. */
const triesPerWorld = 25;
const worldCount = long ? 4_000 : 5;
const hourMs = 3_600_000;

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
  await service.as().post('/roles').send({ key: 'office', name: 'Office' }).expect(201);
  const { body } = await service.as().get('/permissions?resource=rolecall&limit=200').expect(200);
  for (const { permission } of body.data)
    if (permission !== 'rolecall_escalate')
      await service.as().put(`/roles/office/permissions/${permission}`).expect(200);
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

interface Gift {
  readonly permission: string;
  readonly scope: string;
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
}

/** What a try is about, of which each door uses what it needs. */
const tries = fc.record({
  door: fc.nat(),
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
type Try = typeof tries extends fc.Arbitrary<infer T> ? T : never;

const forGood = { scope: '', startsAt: null, expiresAt: null };

/** How to try a door, and what it gives or takes by the model that everything is judged by. */
interface Door {
  send(
    as: ReturnType<TestService['as']>,
    stored: StoredWorld,
    one: Try,
    dry: string,
    zero: number,
  ): PromiseLike<Response>;
  gifts(world: World, one: Try, at: number): readonly Gift[];
  /** Whoever acts for themselves in this way gives nothing. */
  readonly isAboutWholeUser?: true;
}

function givenBy(world: World, role: string): string[] {
  const holder = { active: true, grants: [{ role, ...forGood }], exceptions: [] };
  return referencePermissions({ ...world, users: new Map([['holder', holder]]) }, 'holder', '', 0);
}
const ofRole = (world: World, role: string, where: Omit<Gift, 'permission'>): Gift[] =>
  givenBy(world, role).map((permission) => ({ permission, ...where }));
const placed = ({ scope, startsAt, expiresAt }: Omit<Gift, 'permission'>) => ({ scope, startsAt, expiresAt });
const hasEnded = (at: number, { expiresAt }: { expiresAt: number | null }) =>
  expiresAt !== null && expiresAt <= at;

function ofUser(world: World, { user }: Try, at: number): Gift[] {
  const { grants = [], exceptions = [] } = world.users.get(user) ?? {};
  const granted = grants
    .filter((grant) => !hasEnded(at, grant))
    .flatMap((grant) => ofRole(world, grant.role, placed(grant)));
  const allowed = exceptions.filter(
    (one) =>
      one.effect === 'allow' && !hasEnded(at, one) && world.permissions.get(one.permission) === 'registered',
  );
  return [...granted, ...allowed.map((one) => ({ permission: one.permission, ...placed(one) }))];
}

/** What one is denied is lifted too, of oneself as well: the id could be used again. */
function ofDeletion(world: World, one: Try, at: number): Gift[] {
  const exceptions = world.users.get(one.user)?.exceptions ?? [];
  const denials = exceptions.filter((each) => each.effect === 'deny' && !hasEnded(at, each));
  const lifted = denials.map((each) => ({ permission: each.permission, ...placed(each) }));
  return [...(one.user === 'alice' ? [] : ofUser(world, one, at)), ...lifted];
}

/** The grant of origin `api` that stands in the place: of each user the first that was stored. */
function grantThere(world: World, { user, role, scope }: Try) {
  const first = world.users.get(user)?.grants[0];
  return first?.role === role && first.scope === scope ? [first] : [];
}
const exceptionThere = (world: World, { user, permission, scope }: Try) =>
  (world.users.get(user)?.exceptions ?? []).filter(
    (one) => one.permission === permission && one.scope === scope,
  );

const grantPath = (w: StoredWorld, { user, role, scope }: Try, dry: string) =>
  `/users/${encodeURIComponent(userIn(w, user))}/roles/${roleIn(w, role)}${dry}&scope=${scope}`;
const exceptionPath = (w: StoredWorld, { user, permission, scope }: Try, dry: string) =>
  `/users/${encodeURIComponent(userIn(w, user))}/permissions/${slugIn(w, permission)}${dry}&scope=${scope}`;
const userPath = (w: StoredWorld, { user }: Try) => `/users/${encodeURIComponent(userIn(w, user))}`;
const rolePath = (w: StoredWorld, { role }: Try) => `/roles/${roleIn(w, role)}`;
const identity = (w: StoredWorld, { user }: Try) => ({ issuer: 'idp', subject: userIn(w, user) });
const timeOf = ({ startsAt, expiresAt }: Try, zero: number) => {
  const time = (bound: number | null) => bound && new Date(zero + bound * hourMs).toISOString();
  return { startsAt: time(startsAt), expiresAt: time(expiresAt) };
};

const given = (world: World, one: Try) =>
  [...grantThere(world, one).map(placed), placed(one)].flatMap((where) => ofRole(world, one.role, where));
const edge = (_world: World, { permission }: Try) => [{ permission, ...forGood }];
const include = (world: World, { other }: Try) => ofRole(world, other, forGood);

const doors: Readonly<Record<(typeof triedDoors)[number], Door>> = {
  grantRole: {
    send: (as, w, one, dry, zero) => as.put(grantPath(w, one, dry)).send(timeOf(one, zero)),
    gifts: given,
  },
  changeGrants: {
    send: (as, w, one, dry, zero) => {
      const place = { user: userIn(w, one.user), role: roleIn(w, one.role), scope: one.scope };
      const changes = [{ op: 'grant', ...place, ...timeOf(one, zero) }];
      return as.post(`/grants/batch${dry}`).send({ mode: 'each', changes });
    },
    gifts: given,
  },
  revokeRole: {
    send: (as, w, one, dry) => as.delete(grantPath(w, one, dry)),
    gifts: (world, one) => grantThere(world, one).flatMap((grant) => ofRole(world, one.role, placed(grant))),
  },
  setException: {
    send: (as, w, one, dry, zero) =>
      as.put(exceptionPath(w, one, dry)).send({ effect: one.effect, ...timeOf(one, zero) }),
    gifts: (world, one) =>
      [...exceptionThere(world, one).map(placed), placed(one)].map((where) => ({
        permission: one.permission,
        ...where,
      })),
  },
  endException: {
    send: (as, w, one, dry) => as.delete(exceptionPath(w, one, dry)),
    gifts: (world, one) =>
      exceptionThere(world, one).map((held) => ({ permission: one.permission, ...placed(held) })),
  },
  giveRolePermission: {
    send: (as, w, one, dry) => as.put(`${rolePath(w, one)}/permissions/${slugIn(w, one.permission)}${dry}`),
    gifts: edge,
  },
  withholdRolePermission: {
    send: (as, w, one, dry) =>
      as.delete(`${rolePath(w, one)}/permissions/${slugIn(w, one.permission)}${dry}`),
    gifts: edge,
  },
  includeRole: {
    send: (as, w, one, dry) => as.put(`${rolePath(w, one)}/includes/${roleIn(w, one.other)}${dry}`),
    gifts: include,
  },
  excludeRole: {
    send: (as, w, one, dry) => as.delete(`${rolePath(w, one)}/includes/${roleIn(w, one.other)}${dry}`),
    gifts: include,
  },
  deleteRole: {
    send: (as, w, one, dry) => as.delete(`${rolePath(w, one)}${dry}`),
    gifts: (world, { role }) => ofRole(world, role, forGood),
  },
  retirePermission: {
    send: (as, w, { permission }, dry) => as.delete(`/permissions/${slugIn(w, permission)}${dry}`),
    gifts: edge,
  },
  createKey: {
    send: (as, w, one, dry) => {
      const permissions = one.narrowed ? [slugIn(w, one.permission)] : null;
      return as
        .post(`/keys${dry}`)
        .send({ user: userIn(w, one.user), name: 'x', ...(permissions && { permissions }) });
    },
    // Without a list it grows with its user: nobody holds all that somebody else will ever get.
    gifts: (_world, one) => [{ permission: one.narrowed ? one.permission : 'whatever_comes', ...forGood }],
    isAboutWholeUser: true,
  },
  updateUser: {
    send: (as, w, one, dry) => as.patch(`${userPath(w, one)}${dry}`).send({ active: one.narrowed }),
    gifts: (world, one, at) =>
      world.users.get(one.user)?.active === one.narrowed ? [] : ofUser(world, one, at),
    isAboutWholeUser: true,
  },
  deleteUser: {
    send: (as, w, one, dry) => as.delete(`${userPath(w, one)}${dry}`),
    gifts: ofDeletion,
  },
  eraseUser: {
    send: (as, w, one, dry) => as.post(`${userPath(w, one)}/erase${dry}`),
    gifts: ofDeletion,
  },
  linkIdentity: {
    send: (as, w, one, dry) => as.put(`${userPath(w, one)}/identities${dry}`).send(identity(w, one)),
    gifts: ofUser,
    isAboutWholeUser: true,
  },
  unlinkIdentity: {
    send: (as, w, one, dry) => as.delete(`${userPath(w, one)}/identities${dry}`).send(identity(w, one)),
    gifts: ofUser,
    isAboutWholeUser: true,
  },
};

const nameOf = ({ door }: Try) => triedDoors[door % triedDoors.length] as (typeof triedDoors)[number];

/** Whether alice has what is given, wherever it counts and at every instant of it that is still to come. */
function holds(world: World, { permission, scope, startsAt, expiresAt }: Gift, at: number): boolean {
  const below = [...scopes, ...inventedScopes, `${scope}/x`].filter((one) =>
    covers(scope as Scope, one as Scope),
  );
  const instants = [at, 0, 1, 2, 3, 4, 5].filter(
    (instant) => instant >= Math.max(at, startsAt ?? at) && instant < (expiresAt ?? Number.POSITIVE_INFINITY),
  );
  return instants.every((instant) =>
    below.every((one) => referenceDecision(world, 'alice', permission, one, instant).allowed),
  );
}

/** What everybody of a world may do, everywhere where anybody has anything. */
async function accessIn(stored: StoredWorld): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const user of ['alice', 'Alice'])
    for (const scope of scopes) {
      const id = encodeURIComponent(userIn(stored, user));
      const { body } = await service.as().get(`/users/${id}/permissions`).query({ scope });
      for (const slug of body.permissions ?? [])
        found.set(`${userIn(stored, user)} ${scope}`, [
          ...(found.get(`${userIn(stored, user)} ${scope}`) ?? []),
          slug,
        ]);
    }
  return found;
}

/** What an answer says of it: at every scope, by what is said of the nearest above at which somebody has something. */
function told(before: Map<string, string[]>, after: Map<string, string[]>, { body }: Response): void {
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

const seen = { given: 0, refused: 0, elsewhere: 0 };

async function walk(number: number, drawn: World, attempts: readonly Try[]): Promise<void> {
  const alice = drawn.users.get('alice');
  const world = storable({
    ...drawn,
    users: new Map([...drawn.users, ['alice', { grants: [], exceptions: [], ...alice, active: true }]]),
  });
  const stored: StoredWorld = { number, world, at: 1 };
  const zero = await sql.begin(async (tx) => {
    await store(tx, [stored]);
    await tx`update rolecall.user_roles set origin = 'api' where origin = 'origin-0'`;
    await tx`insert into rolecall.user_roles (user_pk, role_pk, origin)
      select users.pk, roles.pk, 'office' from rolecall.users, rolecall.roles
      where id = ${userIn(stored, 'alice')} and key = 'office'`;
    await tx`update rolecall.revision set value = value + 1, catalogue_value = value + 1`;
    const [row] = await tx<[{ now: number }]>`
      select (extract(epoch from date_trunc('milliseconds', now())) * 1000)::float8 as now`;
    return row.now - stored.at * hourMs;
  });
  const { value } = await service.runtime.apiKeys.provision(
    operatorCall(20_000),
    userIn(stored, 'alice') as UserId,
    null,
  );
  const key = String(value.key);
  let last: { readonly one: Try; readonly door: Door; readonly response: Response } | undefined;
  for (const one of attempts) {
    const door = doors[nameOf(one)];
    const response = await door.send(service.as(key), stored, one, '?dryRun=true', zero);
    const { status, body } = response;
    const code = body.outcomes?.[0]?.code ?? body.code;
    const isOwn = door.isAboutWholeUser && one.user === 'alice';
    const may = isOwn || door.gifts(world, one, stored.at).every((gift) => holds(world, gift, stored.at));
    const what = `${nameOf(one)} ${JSON.stringify(one)} in ${JSON.stringify([...world.users])}`;
    if (code === 'exceeds_own_access') {
      expect(may, `refused: ${what}`).toBe(false);
      seen.refused += 1;
    } else if (status < 300 && code === undefined && (body.changed || may)) {
      expect(may, `let through: ${what}`).toBe(true);
      seen.given += 1;
      for (const change of body.impact.changes)
        for (const { scope, gained } of change.scopes)
          for (const slug of gained)
            expect(
              referenceDecision(world, 'alice', slug.replace(/^w\d+_/, ''), scope, stored.at).allowed,
              `${slug} in ${scope}: ${what}`,
            ).toBe(true);
      // Of those that would end the walk, one is done in earnest when all others were tried.
      last = { one, door, response };
    } else {
      // Nothing there to change, or it cannot be changed by anybody.
      expect(body.changed ?? status, what).toBeOneOf([false, 404, 409]);
      seen.elsewhere += 1;
    }
  }
  if (!last) return;
  const before = await accessIn(stored);
  const { body } = await last.door.send(service.as(key), stored, last.one, '?dryRun=false', zero);
  expect(body.code).toBeUndefined();
  told(before, await accessIn(stored), last.response);
}

test(
  'through every door, as much goes as its actor holds, and a dry run tells what the call does (A-09, A-14)',
  async () => {
    let number = 0;
    await fc.assert(
      fc.asyncProperty(
        worlds,
        fc.array(tries, { minLength: triesPerWorld, maxLength: triesPerWorld, size: 'max' }),
        async (world, attempts) => walk(number++, world, attempts),
      ),
      { numRuns: worldCount, endOnFailure: true },
    );
    const all = worldCount * triesPerWorld;
    expect(Math.min(seen.given, seen.refused)).toBeGreaterThan(all / 10);
    process.stderr.write(`${all} tries through ${triedDoors.length} doors: ${JSON.stringify(seen)}\n`);
  },
  worldCount * 30_000,
);
