/**
 * What a decision means, said a second time: sets and recursion, no cache, nothing from `src`. It is slow and obvious on
 * purpose, because the decision, the service and the SQL functions are all judged by it.
 */

/** Everything that decisions depend on, as plain data that a test may change as it goes along. */
export interface World {
  /** By slug. */
  readonly permissions: Map<string, 'registered' | 'retired'>;
  /** By the caller's own id. */
  readonly users: Map<string, ReferenceUser>;
  /** One row per include and origin; a withheld row is a tombstone. */
  readonly includes: ReferenceInclude[];
  /** One row per edge and origin; a withheld row is a tombstone. */
  readonly edges: ReferenceEdge[];
}

export interface ReferenceUser {
  active: boolean;
  grants: ReferenceGrant[];
  exceptions: ReferenceException[];
}

export interface ReferenceInclude {
  readonly role: string;
  readonly included: string;
  readonly origin: string;
  readonly withheld: boolean;
}

export interface ReferenceEdge {
  readonly role: string;
  readonly permission: string;
  readonly origin: string;
  readonly withheld: boolean;
}

export interface ReferenceGrant {
  readonly role: string;
  readonly scope: string;
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
}

export interface ReferenceException {
  readonly permission: string;
  readonly scope: string;
  readonly effect: 'allow' | 'deny';
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
}

export interface ReferenceAnswer {
  allowed: boolean;
  /** Of a deny, the first reason that applies. */
  reason?: string;
}

export function referenceDecision(
  world: World,
  userId: string,
  permission: string,
  scope: string,
  at: number,
): ReferenceAnswer {
  if (world.permissions.get(permission) !== 'registered') return no('unknown_permission');
  const user = world.users.get(userId);
  if (user === undefined) return no('unknown_user');
  if (user.active === false) return no('inactive_user');

  let denied = false;
  let given = false;
  for (const exception of user.exceptions) {
    if (exception.permission !== permission) continue;
    if (!inForceAt(exception, scope, at)) continue;
    if (exception.effect === 'deny') denied = true;
    if (exception.effect === 'allow') given = true;
  }
  for (const role of referenceRoles(world, userId, scope, at))
    if (hasEdge(world, role, permission)) given = true;

  if (denied) return no('denied_by_exception');
  if (!given) return no('not_granted');
  return { allowed: true };
}

/** What the user may do in the scope: every permission there is, asked about one by one. */
export function referencePermissions(world: World, userId: string, scope: string, at: number): string[] {
  const allowed = [...world.permissions.keys()].filter(
    (permission) => referenceDecision(world, userId, permission, scope, at).allowed,
  );
  return allowed.sort();
}

/** The roles that count for the user in the scope, those included by others too. */
export function referenceRoles(world: World, userId: string, scope: string, at: number): string[] {
  const user = world.users.get(userId);
  if (user === undefined || user.active === false) return [];
  const roles = new Set<string>();
  for (const grant of user.grants) if (inForceAt(grant, scope, at)) addWithIncluded(world, grant.role, roles);
  return [...roles].sort();
}

/** Adds a role and all it includes, however deep; a role that is there already has been seen to. */
function addWithIncluded(world: World, role: string, roles: Set<string>): void {
  if (roles.has(role)) return;
  roles.add(role);
  for (const { included } of world.includes.filter((row) => row.role === role))
    if (hasInclude(world, role, included)) addWithIncluded(world, included, roles);
}

function hasInclude(world: World, role: string, included: string): boolean {
  return stands(world.includes.filter((row) => row.role === role && row.included === included));
}

function hasEdge(world: World, role: string, permission: string): boolean {
  return stands(world.edges.filter((row) => row.role === role && row.permission === permission));
}

/** At least one origin gives it, and no tombstone withholds it. */
function stands(rowsOfOneEdge: { withheld: boolean }[]): boolean {
  const isGiven = rowsOfOneEdge.some((row) => row.withheld === false);
  const isWithheld = rowsOfOneEdge.some((row) => row.withheld === true);
  return isGiven && !isWithheld;
}

/** Whether a grant or an exception holds at a scope and an instant. */
function inForceAt(held: ReferenceGrant | ReferenceException, scope: string, at: number): boolean {
  const hasStarted = held.startsAt === null || held.startsAt <= at;
  const hasExpired = held.expiresAt !== null && held.expiresAt <= at;
  return isAtOrAbove(segmentsOf(held.scope), segmentsOf(scope)) && hasStarted && !hasExpired;
}

/** Whether one path of segments begins another or equals it. */
function isAtOrAbove(upper: string[], lower: string[]): boolean {
  const [first, ...others] = upper;
  if (first === undefined) return true;
  return first === lower[0] && isAtOrAbove(others, lower.slice(1));
}

/** The empty scope is everywhere and has no segments. */
function segmentsOf(scope: string): string[] {
  return scope === '' ? [] : scope.split('/');
}

function no(reason: string): ReferenceAnswer {
  return { allowed: false, reason };
}
