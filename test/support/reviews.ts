/** Asks the service what people ask when they review access, and holds its answers to the reference model's. */
import fc from 'fast-check';
import { same, sameInPart } from './history-compare.ts';
import type { Stage } from './history-stage.ts';
import { referenceDecision, type World } from './reference-model.ts';
import {
  expectedChange,
  expectedExceptions,
  expectedGrants,
  expectedHolders,
  expectedNearest,
  expectedPaths,
  shown,
  stateOf,
} from './review-answers.ts';
import { neverRegistered, permissions, roles, scopes, storeWorld, users, worldAt } from './small-worlds.ts';

/** What is asked about a world. */
export interface Review {
  readonly user: string;
  readonly permission: string;
  readonly role: string;
  readonly scope: string;
  readonly limit: number;
}

export const reviews: fc.Arbitrary<Review> = fc.record({
  user: fc.constantFrom(...users, ...users, 'w|nobody'),
  permission: fc.constantFrom(...permissions, ...permissions, ...permissions, neverRegistered),
  role: fc.constantFrom(...roles),
  scope: fc.constantFrom(...scopes, 'org/acme/billing/eu', 'org/acm'),
  limit: fc.constantFrom(1, 2, 3, 200),
});

/** Stores a world whose times are from now, asks, and throws at the first answer that the model does not give. */
export async function reviewWorld(stage: Stage, relative: World, asked: readonly Review[]): Promise<void> {
  const now = Date.now();
  const world = worldAt(relative, now);
  await storeWorld(stage.sql, world);
  for (const review of asked) {
    const explained = await checkExplanation(stage, world, now, review);
    for (const { grant } of explained?.paths ?? [])
      same('why', [grant['reason'], grant['grantedBy']], [`${grant.role} in ${grant.scope}`, 'root']);
    await checkHolders(stage, world, now, review);
    await checkRoleHolders(stage, world, now, review);
  }
}

type About = Pick<Review, 'user' | 'permission' | 'scope'>;

interface Shown {
  readonly paths: readonly {
    readonly state: string;
    readonly grant: { readonly role: string; readonly scope: string } & Record<string, unknown>;
    readonly includes: readonly Link[];
    readonly edge: Link;
  }[];
  readonly pathsLeftOut: number;
  readonly exceptions: readonly Record<string, string | null>[];
}

interface Link {
  readonly role: string;
  readonly origins: readonly string[];
}

/** Why somebody may do something or not: returns what was shown; nothing of somebody who is not there. */
export async function checkExplanation(
  stage: Stage,
  world: World,
  at: number,
  about: About,
): Promise<Shown | undefined> {
  const { user, permission, scope } = about;
  const url = `/users/${encodeURIComponent(user)}/explain`;
  const answer = await stage.request({ method: 'GET', url, query: { permission, scope } });
  const what = `GET ${url} of ${permission} in "${scope}"`;
  if (!world.users.has(user)) {
    sameInPart(what, answer, { status: 404, body: { code: 'unknown_user' } });
    return undefined;
  }
  const change = expectedChange(world, user, permission, scope, at);
  const nearest = expectedNearest(world, user, permission, scope, at);
  sameInPart(what, answer, {
    status: 200,
    body: {
      user,
      permission,
      scope,
      ...referenceDecision(world, user, permission, scope, at),
      changesAt: change === null ? null : new Date(change).toISOString(),
      nearestRoles: nearest.slice(0, 5),
      nearestRolesLeftOut: Math.max(0, nearest.length - 5),
    },
  });
  const body = answer.body as Shown;
  checkPaths(what, body, world, at, about);
  const due = expectedExceptions(world, user, permission, scope);
  same(
    `${what}, exceptions`,
    body.exceptions.map((one) => `${one['state']} ${one['effect']} at "${one['scope']}"`).sort(),
    due.map((one) => `${stateOf(one, at)} ${one.effect} at "${one.scope}"`).sort(),
  );
  return body;
}

function checkPaths(what: string, body: Shown, world: World, at: number, about: About): void {
  const { user, permission, scope } = about;
  const due = expectedPaths(world, user, permission, scope, at).map((path) => JSON.stringify(path));
  const stepOf = ({ role, origins }: Link) => `${role} (${origins.join(' ')})`;
  const came = body.paths.map(({ state, grant, includes, edge }) => {
    // The edge is of the role that the includes lead to: of the granted one if there are none.
    same(`${what}, the end of a path`, edge.role, includes.at(-1)?.role ?? grant.role);
    const links = includes.map(stepOf);
    const edgeStep = stepOf(edge);
    return JSON.stringify({
      state,
      role: grant.role,
      scope: grant.scope,
      steps: [...links, edgeStep].join(' > '),
    });
  });
  same(`${what}, how many paths`, came.length + body.pathsLeftOut, due.length);
  // Of five grants each is shown by at least this many, if it has them.
  if (due.length <= 10) same(`${what}, paths left out`, body.pathsLeftOut, 0);
  same(
    `${what}, paths that are none`,
    came.filter((path) => !due.includes(path)),
    [],
  );
  same(`${what}, paths told once`, new Set(came).size, came.length);
  const ranks = body.paths.map(({ state }) => ['in_force', 'not_started', 'expired'].indexOf(state));
  same(`${what}, order of paths`, ranks, ranks.toSorted());
}

/** Who may do something somewhere, and through what. */
export async function checkHolders(
  stage: Stage,
  world: World,
  at: number,
  { permission, scope, limit }: Omit<Review, 'user' | 'role'>,
): Promise<void> {
  const url = `/permissions/${permission}/users`;
  const what = `GET ${url} in "${scope}", ${limit} at a time`;
  if (world.permissions.get(permission) !== 'registered') {
    const answer = await stage.request({ method: 'GET', url, query: { scope } });
    return sameInPart(what, answer, { status: 404, body: { code: 'unknown_permission' } });
  }
  const found = await walk<{ user: string; via: readonly Held[] }>(stage, url, { scope }, limit);
  same(
    what,
    found.map(({ user, via }) => ({
      user,
      via: via.map((one) => shown(one.role, one.scope, instantOf(one))).sort(),
    })),
    expectedHolders(world, permission, scope, at),
  );
}

interface Held {
  readonly role: string | null;
  readonly scope: string;
  readonly expiresAt: string | null;
}

async function checkRoleHolders(stage: Stage, world: World, at: number, review: Review): Promise<void> {
  const { role, scope, limit } = review;
  const url = `/roles/${role}/users`;
  const query = { scope, effective: 'true' };
  const found = await walk<Held & { user: string }>(stage, url, query, limit);
  const came = found.map((one) => `${one.user} ${shown(one.role, one.scope, instantOf(one))}`);
  same(`GET ${url} in "${scope}"`, came.sort(), expectedGrants(world, role, scope, at).sort());
}

/** Every page there is, one after the other. */
async function walk<Row>(stage: Stage, url: string, query: object, limit: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after: string | null | undefined; after !== null; ) {
    const page = { ...query, limit: String(limit), ...(after === undefined ? {} : { after }) };
    const { status, body } = await stage.request({ method: 'GET', url, query: page });
    same(`GET ${url}, the status`, status, 200);
    const { data, nextCursor } = body as { data: readonly Row[]; nextCursor: string | null };
    same(`GET ${url}, no more than asked`, data.length <= limit, true);
    rows.push(...data);
    same(`GET ${url}, an end`, rows.length < 1_000, true);
    after = nextCursor;
  }
  return rows;
}

function instantOf({ expiresAt }: Held): number | null {
  return expiresAt === null ? null : Date.parse(expiresAt);
}
