/**
 * What the reference model makes of the questions that people ask when they review access: why somebody may do
 * something, who may, and who has a role. Found by trying: each grant by itself, each role on top, each instant.
 */
import {
  type ReferenceException,
  type ReferenceGrant,
  type ReferenceUser,
  referenceDecision,
  referencePermissions,
  referenceRoles,
  type World,
} from './reference-model.ts';

export interface ExpectedPath {
  readonly state: string;
  readonly role: string;
  readonly scope: string;
  /** `role (origins)` for each step after the grant, the edge's last. */
  readonly steps: string;
}

type Held = ReferenceGrant | ReferenceException;

/** Every way from one of a user's grants to the permission in the scope, whatever else they have. */
export function expectedPaths(
  world: World,
  id: string,
  permission: string,
  scope: string,
  at: number,
): ExpectedPath[] {
  const grants = world.users.get(id)?.grants ?? [];
  return grants
    .filter((grant) => givesAlone(world, grant, permission, scope, at))
    .flatMap((grant) =>
      chainsFrom(world, grant.role, permission).map((steps) => ({
        state: stateOf(grant, at),
        role: grant.role,
        scope: grant.scope,
        steps: steps.join(' > '),
      })),
    );
}

/** Whether the grant alone, were it in force, would allow the permission there. */
function givesAlone(
  world: World,
  grant: ReferenceGrant,
  permission: string,
  scope: string,
  at: number,
): boolean {
  const alone = { active: true, grants: [{ ...grant, startsAt: null, expiresAt: null }], exceptions: [] };
  return referenceDecision(withUser(world, 'alone', alone), 'alone', permission, scope, at).allowed;
}

function chainsFrom(world: World, role: string, permission: string): string[][] {
  const edge = given(world.edges.filter((row) => row.role === role && row.permission === permission));
  const own = edge ? [[`${role} (${edge})`]] : [];
  const others = [...new Set(world.includes.filter((row) => row.role === role).map((row) => row.included))];
  return [
    ...own,
    ...others.flatMap((included) => {
      const include = given(world.includes.filter((row) => row.role === role && row.included === included));
      if (!include) return [];
      return chainsFrom(world, included, permission).map((chain) => [`${included} (${include})`, ...chain]);
    }),
  ];
}

/** The origins that give an edge or include, or undefined if it does not stand. */
function given(rows: readonly { origin: string; withheld: boolean }[]): string | undefined {
  if (rows.length === 0 || rows.some((row) => row.withheld)) return undefined;
  return rows
    .map((row) => row.origin)
    .sort()
    .join(' ');
}

/** The exceptions of a user that concern a permission in a scope, in force or not. */
export function expectedExceptions(
  world: World,
  id: string,
  permission: string,
  scope: string,
): ReferenceException[] {
  const exceptions = world.users.get(id)?.exceptions ?? [];
  return exceptions.filter((one) => one.permission === permission && isAtOrAbove(one.scope, scope));
}

/** The next instant at which the decision is another. */
export function expectedChange(
  world: World,
  id: string,
  permission: string,
  scope: string,
  at: number,
): number | null {
  const { grants = [], exceptions = [] } = world.users.get(id) ?? {};
  const isAllowed = (instant: number) => referenceDecision(world, id, permission, scope, instant).allowed;
  const bounds = [...grants, ...exceptions].flatMap(({ startsAt, expiresAt }) => [startsAt, expiresAt]);
  const later = bounds.filter((bound): bound is number => bound !== null && bound > at);
  return later.sort((a, b) => a - b).find((bound) => isAllowed(bound) !== isAllowed(at)) ?? null;
}

/** The roles that would allow what is not granted, nearest first, with how many other permissions they would give. */
export function expectedNearest(
  world: World,
  id: string,
  permission: string,
  scope: string,
  at: number,
): { role: string; otherPermissions: number }[] {
  if (referenceDecision(world, id, permission, scope, at).reason !== 'not_granted') return [];
  const user = world.users.get(id) as ReferenceUser;
  const before = referencePermissions(world, id, scope, at).length;
  const roles = new Set([...world.edges, ...world.includes].map((row) => row.role));
  const granted = [...roles].map((role) => {
    const grant = { role, scope, startsAt: null, expiresAt: null };
    const more = withUser(world, id, { ...user, grants: [...user.grants, grant] });
    const alone = withUser(world, 'alone', { active: true, grants: [grant], exceptions: [] });
    return {
      role,
      helps: referenceDecision(more, id, permission, scope, at).allowed,
      otherPermissions: referencePermissions(more, id, scope, at).length - before - 1,
      closure: referenceRoles(alone, 'alone', scope, at).length,
    };
  });
  return granted
    .filter(({ helps }) => helps)
    .sort(
      (a, b) =>
        a.otherPermissions - b.otherPermissions || a.closure - b.closure || (a.role < b.role ? -1 : 1),
    )
    .map(({ role, otherPermissions }) => ({ role, otherPermissions }));
}

/** Who may do something in a scope, and through which of what they have. */
export function expectedHolders(
  world: World,
  permission: string,
  scope: string,
  at: number,
): { user: string; via: string[] }[] {
  const allowed = [...world.users].filter(
    ([id]) => referenceDecision(world, id, permission, scope, at).allowed,
  );
  return allowed.map(([user, { grants }]) => {
    const through = grants.filter((grant) => givesAlone(world, grant, permission, scope, at));
    const allows = expectedExceptions(world, user, permission, scope).filter((one) => one.effect === 'allow');
    const counting = [...through, ...allows].filter((held) => stateOf(held, at) === 'in_force');
    const via = counting.map((held) => shown('role' in held ? held.role : null, held.scope, held.expiresAt));
    return { user, via: via.sort() };
  });
}

/** The grants by which active users have a role in a scope. */
export function expectedGrants(world: World, role: string, scope: string, at: number): string[] {
  return [...world.users].flatMap(([id, user]) =>
    user.grants
      .filter((grant) => {
        const alone = withUser(world, id, { ...user, grants: [grant] });
        return referenceRoles(alone, id, scope, at).includes(role);
      })
      .map((grant) => `${id} ${shown(grant.role, grant.scope, grant.expiresAt)}`),
  );
}

/** One line for something held, to be compared. */
export function shown(role: string | null, scope: string, expiresAt: number | null): string {
  return `${role ?? 'exception'} at "${scope}" until ${expiresAt === null ? 'ever' : expiresAt}`;
}

export function stateOf({ startsAt, expiresAt }: Held, at: number): string {
  if (startsAt !== null && startsAt > at) return 'not_started';
  return expiresAt !== null && expiresAt <= at ? 'expired' : 'in_force';
}

function withUser(world: World, id: string, user: ReferenceUser): World {
  return { ...world, users: new Map([...world.users, [id, user]]) };
}

function isAtOrAbove(upper: string, lower: string): boolean {
  return upper === '' || lower === upper || lower.startsWith(`${upper}/`);
}
