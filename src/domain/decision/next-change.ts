import { type Exception, endOf, type Grant, inForce, startOf } from '../grants.ts';
import type { Instant, RoleKey, Scope } from '../ids.ts';
import { covers } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import type { UserAccess } from './user-access.ts';

/**
 * The next instant after `at` at which `effectiveAccess` in this scope changes by itself because something starts or
 * expires; null if it never does. Boundaries that change nothing (another grant gives the same) are passed over. One
 * sweep over all boundaries, each step of which costs what starts or ends there and no more: whoever may give
 * themselves exceptions must not be able to make this slow.
 */
export function nextChange(
  catalogue: Catalogue,
  user: UserAccess,
  scope: Scope,
  at: Instant,
): Instant | null {
  if (!user.active) return null;
  const held = [...user.grants, ...user.exceptions].filter(
    (one) => covers(one.scope, scope) && startOf(one) < endOf(one),
  );
  const tally = new Tally(catalogue);
  for (const one of held) if (inForce(one, at)) tally.count(one, 1);
  tally.remember();
  const boundaries = held
    .flatMap((one) => [
      { instant: startOf(one), one, by: 1 },
      { instant: endOf(one), one, by: -1 },
    ])
    .filter(({ instant }) => instant > at && instant < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.instant - b.instant);
  for (const [place, { instant, one, by }] of boundaries.entries()) {
    tally.count(one, by);
    if (boundaries[place + 1]?.instant !== instant && tally.differs()) return instant;
  }
  return null;
}

/** A role, or a permission by its number. */
type Counted = RoleKey | number;

/** How often each role and permission is given or denied, and which of them count otherwise than when remembered. */
class Tally {
  readonly #catalogue: Catalogue;
  readonly #given = new Map<Counted, number>();
  readonly #denied = new Map<Counted, number>();
  readonly #different = new Set<Counted>();
  #remembered: ReadonlySet<Counted> = new Set();

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue;
  }

  count(one: Grant | Exception, by: number): void {
    if ('role' in one) {
      for (const role of this.#catalogue.closureOf(one.role)) this.#add(this.#given, role, by);
      for (const permission of this.#catalogue.permissionsOf(one.role))
        this.#add(this.#given, permission, by);
      return;
    }
    const permission = this.#catalogue.numberOf(one.permission);
    if (permission !== undefined)
      this.#add(one.effect === 'allow' ? this.#given : this.#denied, permission, by);
  }

  /** From here on `differs` compares with what counts now. */
  remember(): void {
    this.#remembered = new Set(this.#different);
    this.#different.clear();
  }

  differs(): boolean {
    return this.#different.size > 0;
  }

  #add(tally: Map<Counted, number>, name: Counted, by: number): void {
    tally.set(name, (tally.get(name) ?? 0) + by);
    const counts = (this.#given.get(name) ?? 0) > 0 && (this.#denied.get(name) ?? 0) === 0;
    if (counts === this.#remembered.has(name)) this.#different.delete(name);
    else this.#different.add(name);
  }
}
