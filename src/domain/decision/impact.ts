import type { Instant, PermissionSlug, Scope, UserId } from '../ids.ts';
import { everywhere } from '../scopes.ts';
import { type Sight, sees } from '../sight.ts';
import type { Catalogue } from './catalogue.ts';
import { effectiveAccess } from './effective-access.ts';
import { compileAccess, type UserAccess } from './user-access.ts';

/** What somebody may do that they could not do before, and the other way round; slugs sorted. */
export interface AccessChange {
  readonly gained: readonly PermissionSlug[];
  readonly lost: readonly PermissionSlug[];
}

/** The same of one scope. */
export interface ScopeImpact extends AccessChange {
  readonly scope: Scope;
}

export interface UserImpact {
  readonly user: UserId;
  readonly scopes: readonly ScopeImpact[];
}

/** Whose access a change alters at once, and how. The numbers are exact; the list is cut, and has what is in sight. */
export interface Impact {
  readonly users: number;
  readonly gaining: number;
  readonly losing: number;
  readonly changes: readonly UserImpact[];
  readonly usersLeftOut: number;
}

/** One user's access as it was or would be at an instant; undefined when they are not there. */
export interface Side {
  readonly catalogue: Catalogue;
  readonly access: UserAccess | undefined;
  readonly at: Instant;
}

/** How two sorted lists of what somebody may do differ. */
export function changeBetween(
  before: readonly PermissionSlug[],
  after: readonly PermissionSlug[],
): AccessChange {
  const [had, has] = [new Set(before), new Set(after)];
  return {
    gained: after.filter((slug) => !had.has(slug)),
    lost: before.filter((slug) => !has.has(slug)),
  };
}

/**
 * What differs at each scope at which the user has something, and everywhere: between those scopes nothing is otherwise
 * than at the nearest one above.
 */
export function impactOn(before: Side, after: Side): readonly ScopeImpact[] {
  const held = [before, after].flatMap(({ access }) => [
    ...(access?.grants ?? []),
    ...(access?.exceptions ?? []),
  ]);
  const scopes = [...new Set([everywhere, ...held.map(({ scope }) => scope)])].sort();
  const [had, has] = [listsOf(before), listsOf(after)];
  return scopes.flatMap((scope) => {
    const change = changeBetween(had(scope), has(scope));
    return change.gained.length + change.lost.length > 0 ? [{ scope, ...change }] : [];
  });
}

function listsOf({ catalogue, access, at }: Side): (scope: Scope) => readonly PermissionSlug[] {
  const compiled = access && compileAccess(catalogue, access, at);
  return (scope) => (compiled ? effectiveAccess(compiled, scope).permissions : []);
}

const mostUsers = 100;
const mostSlugs = 10_000;

/** Adds up the impact on one user after the other. */
export class ImpactCount {
  readonly #sight: Sight;
  readonly #changes: UserImpact[] = [];
  #slugs = 0;
  #users = 0;
  #gaining = 0;
  #losing = 0;

  constructor(sight: Sight) {
    this.#sight = sight;
  }

  add(user: UserId, scopes: readonly ScopeImpact[]): void {
    if (scopes.length === 0) return;
    this.#users += 1;
    if (scopes.some(({ gained }) => gained.length > 0)) this.#gaining += 1;
    if (scopes.some(({ lost }) => lost.length > 0)) this.#losing += 1;
    const seen = scopes.filter(({ scope }) => sees(this.#sight, scope));
    if (seen.length === 0 || this.#changes.length === mostUsers) return;
    this.#slugs += seen.reduce((sum, { gained, lost }) => sum + gained.length + lost.length, 0);
    if (this.#changes.length === 0 || this.#slugs <= mostSlugs) this.#changes.push({ user, scopes: seen });
  }

  total(): Impact {
    const [users, changes] = [this.#users, this.#changes];
    return {
      users,
      gaining: this.#gaining,
      losing: this.#losing,
      changes,
      usersLeftOut: users - changes.length,
    };
  }
}
