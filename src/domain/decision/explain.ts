import { type Exception, type Grant, inForce, startOf, type Window } from '../grants.ts';
import type { Instant, PermissionSlug, Scope } from '../ids.ts';
import { covers } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import { type Chain, Chains, type OriginRows } from './chains.ts';
import { type Decision, decide } from './decide.ts';
import { type NearestRole, nearestRoles } from './nearest-roles.ts';
import { compileAccess } from './user-access.ts';

/** Who gave something, when and why. `grantedBy` is null when the operator did. */
export interface Given {
  readonly reason: string | null;
  readonly grantedBy: string | null;
  readonly grantedAt: Instant;
}

export interface GivenGrant extends Grant, Given {
  readonly origin: string;
}

export interface GivenException extends Exception, Given {}

/** A user as the decision sees them, with who gave them what they have. */
export interface GivenAccess {
  readonly active: boolean;
  readonly grants: readonly GivenGrant[];
  readonly exceptions: readonly GivenException[];
}

export type WindowState = 'in_force' | 'not_started' | 'expired';

/** One way from a grant to the permission. Only one whose grant is in force gives it now. */
export interface Path extends Chain {
  readonly state: WindowState;
  readonly grant: GivenGrant;
}

/** A list cut to a length that people read, and how many were left out. */
export interface Shortened<T> {
  readonly shown: readonly T[];
  readonly leftOut: number;
}

export interface Explanation {
  readonly decision: Decision;
  /** The next instant at which the decision is another by itself, because something starts or expires; or null. */
  readonly changesAt: Instant | null;
  /** Those in force first, then what is still to come and what is over. A deny exception does not take them away. */
  readonly paths: Shortened<Path>;
  /** Those that concern the permission in the scope, in the same order. */
  readonly exceptions: Shortened<GivenException & { readonly state: WindowState }>;
  /** The roles that would allow what is not granted; empty for any other decision. */
  readonly nearest: Shortened<NearestRole>;
}

export interface Question {
  readonly permission: PermissionSlug;
  readonly scope: Scope;
  readonly at: Instant;
}

const mostPaths = 50;
const mostExceptions = 50;
const mostNearest = 5;

/** Why `decide` says what it says, and what would have to be otherwise. */
export function explain(
  catalogue: Catalogue,
  user: GivenAccess,
  rows: OriginRows,
  { permission, scope, at }: Question,
): Explanation {
  const access = compileAccess(catalogue, user, at);
  const decision = decide(catalogue, access, permission, scope);
  const giving = givingGrants(catalogue, user.grants, permission, scope);
  const exceptions = user.exceptions.filter(
    (exception) => exception.permission === permission && covers(exception.scope, scope),
  );
  const isGrantable = !decision.allowed && decision.reason === 'not_granted';
  const roles = [...rows.edges, ...rows.includes].map((row) => row.role);
  return {
    decision,
    changesAt: isTimely(decision) ? changeAfter(at, giving, exceptions) : null,
    paths: pathsOf(new Chains(catalogue, permission, rows), giving, at),
    exceptions: shortened(
      exceptions.map((exception) => ({ ...exception, state: stateOf(exception, at) })).sort(byState),
      mostExceptions,
    ),
    nearest: shortened(
      isGrantable ? nearestRoles(catalogue, access, permission, scope, roles) : [],
      mostNearest,
    ),
  };
}

/** Of a user's grants, those that count in the scope and whose role gives the permission, in force or not. */
export function givingGrants<Held extends Grant>(
  catalogue: Catalogue,
  grants: readonly Held[],
  permission: PermissionSlug,
  scope: Scope,
): readonly Held[] {
  return grants.filter((grant) => covers(grant.scope, scope) && catalogue.gives(grant.role, permission));
}

function pathsOf(chains: Chains, giving: readonly GivenGrant[], at: Instant): Shortened<Path> {
  const grants = giving.map((grant) => ({ ...grant, state: stateOf(grant, at) })).sort(byState);
  // Each grant is shown by at least one of its paths before any is shown by more than its share.
  const share = Math.max(1, Math.floor(mostPaths / grants.length));
  const shown = grants.slice(0, mostPaths).flatMap(({ state, ...grant }) => {
    const paths: Path[] = [];
    for (const chain of chains.from(grant.role)) {
      paths.push({ state, grant, ...chain });
      if (paths.length === share) break;
    }
    return paths;
  });
  const all = grants.reduce((sum, grant) => sum + chains.countFrom(grant.role), 0);
  return { shown, leftOut: Math.min(all - shown.length, Number.MAX_SAFE_INTEGER) };
}

/** Whether time alone can make the decision another. */
function isTimely(decision: Decision): boolean {
  return decision.allowed || decision.reason === 'denied_by_exception' || decision.reason === 'not_granted';
}

function changeAfter(
  at: Instant,
  grants: readonly Window[],
  exceptions: readonly Exception[],
): Instant | null {
  const allows = [...grants, ...exceptions.filter((exception) => exception.effect === 'allow')];
  const denies = exceptions.filter((exception) => exception.effect === 'deny');
  const isAllowed = (instant: Instant) =>
    !denies.some((deny) => inForce(deny, instant)) && allows.some((allow) => inForce(allow, instant));
  const bounds = [...allows, ...denies].flatMap(({ startsAt, expiresAt }) => [startsAt, expiresAt]);
  const later = [...new Set(bounds)].filter((bound): bound is Instant => bound !== null && bound > at);
  return later.sort((a, b) => a - b).find((bound) => isAllowed(bound) !== isAllowed(at)) ?? null;
}

function stateOf(window: Window, at: Instant): WindowState {
  if (inForce(window, at)) return 'in_force';
  return startOf(window) > at ? 'not_started' : 'expired';
}

const states: readonly WindowState[] = ['in_force', 'not_started', 'expired'];

interface Stated {
  readonly state: WindowState;
  readonly scope: Scope;
  readonly role?: string;
  readonly origin?: string;
}

/** In force, to come, over; the nearest scope first; then by names, so that the order is always the same. */
function byState(a: Stated, b: Stated): number {
  const names = ({ role = '', origin = '' }: Stated) => `${role} ${origin}`;
  return (
    states.indexOf(a.state) - states.indexOf(b.state) ||
    b.scope.length - a.scope.length ||
    (names(a) < names(b) ? -1 : 1)
  );
}

function shortened<T>(all: readonly T[], most: number): Shortened<T> {
  return { shown: all.slice(0, most), leftOut: Math.max(0, all.length - most) };
}
