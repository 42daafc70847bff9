import { type Exception, endOf, type Grant, inForce, startOf } from '../grants.ts';
import type { Instant, Scope } from '../ids.ts';
import type { Bitset } from './bitset.ts';
import type { Catalogue } from './catalogue.ts';

/** Everything about a user that a decision depends on, as it is stored: expired and future things too. */
export interface UserAccess {
  readonly active: boolean;
  readonly grants: readonly Grant[];
  readonly exceptions: readonly Exception[];
}

/** What is given and denied at one scope, by what is in force at that very scope. */
export interface Standing {
  readonly given: Bitset;
  /** Null when nothing is denied. */
  readonly denied: Bitset | null;
}

/**
 * What a user has at an instant: one standing for each scope at which they have something. What counts at a scope are
 * its own standing and those of the scopes above it.
 */
export interface CompiledAccess {
  readonly user: UserAccess;
  readonly catalogue: Catalogue;
  readonly at: Instant;
  /** Nothing starts or expires, and so all this stays, from `from` (included) to `until` (not included). */
  readonly from: Instant;
  readonly until: Instant;
  readonly standings: ReadonlyMap<Scope, Standing>;
}

/** What the user's grants and exceptions come to at an instant, ready to be asked. */
export function compileAccess(catalogue: Catalogue, user: UserAccess, at: Instant): CompiledAccess {
  let from = Number.NEGATIVE_INFINITY;
  let until = Number.POSITIVE_INFINITY;
  const byScope = new Map<Scope, (Grant | Exception)[]>();
  for (const held of [...user.grants, ...user.exceptions]) {
    for (const bound of [startOf(held), endOf(held)])
      if (bound <= at) from = Math.max(from, bound);
      else until = Math.min(until, bound);
    if (!inForce(held, at)) continue;
    const beside = byScope.get(held.scope);
    if (beside) beside.push(held);
    else byScope.set(held.scope, [held]);
  }
  const standings = new Map<Scope, Standing>();
  for (const [scope, held] of byScope) standings.set(scope, standingOf(catalogue, held));
  return { user, catalogue, at, from, until, standings };
}

function standingOf(catalogue: Catalogue, held: readonly (Grant | Exception)[]): Standing {
  const [only] = held;
  // Most users have one role in each place, and share its set.
  if (only && held.length === 1 && 'role' in only)
    return { given: catalogue.permissionsOf(only.role), denied: null };
  const given = catalogue.emptySet();
  let denied: Bitset | null = null;
  for (const one of held) {
    if ('role' in one) {
      given.addAll(catalogue.permissionsOf(one.role));
      continue;
    }
    const number = catalogue.numberOf(one.permission);
    if (number === undefined) continue;
    if (one.effect === 'allow') given.add(number);
    else {
      denied ??= catalogue.emptySet();
      denied.add(number);
    }
  }
  return { given, denied };
}
