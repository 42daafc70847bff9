import { type Exception, endOf, type Grant, inForce, startOf } from '../grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope } from '../ids.ts';
import { covers } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import type { UserAccess } from './user-access.ts';

/** What a credential leaves of its user's list: no roles, and of permissions these, or with null all. */
export interface Limits {
  readonly narrowedTo: ReadonlySet<PermissionSlug> | null;
  /** Whoever acts for the user, who must have each as well, and what they need for that; null where the user acts. */
  readonly through: { readonly access: UserAccess; readonly needs: PermissionSlug } | null;
}

/**
 * The next instant after `at` at which `effectiveAccess` in this scope, or what limits leave of it, changes by itself
 * because something starts or expires; null if it never does. Boundaries that change nothing (another grant gives the
 * same) are passed over. One sweep over all boundaries, each step of which costs what starts or ends there and no more:
 * whoever may give themselves exceptions must not be able to make this slow.
 */
export function nextChange(
  catalogue: Catalogue,
  user: UserAccess,
  scope: Scope,
  at: Instant,
  limits: Limits | null = null,
): Instant | null {
  if (!user.active) return null;
  const { access: other } = limits?.through ?? {};
  if (other?.active === false) return null;
  const shown = new Shown(catalogue, limits);
  const heldBy = (user: UserAccess, tally: Tally) =>
    [...user.grants, ...user.exceptions]
      .filter((one) => covers(one.scope, scope) && startOf(one) < endOf(one))
      .map((one) => ({ one, tally }));
  const held = [...heldBy(user, shown.user), ...(other ? heldBy(other, shown.other) : [])];
  const boundaries = held
    .flatMap(({ one, tally }) => [
      { instant: startOf(one), one, tally, by: 1 },
      { instant: endOf(one), one, tally, by: -1 },
    ])
    .filter(({ instant }) => instant > at && instant < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.instant - b.instant);
  if (boundaries.length === 0) return null;
  for (const { one, tally } of held) if (inForce(one, at)) tally.count(one, 1);
  shown.remember();
  for (const [place, { instant, one, tally, by }] of boundaries.entries()) {
    tally.count(one, by);
    if (boundaries[place + 1]?.instant !== instant && shown.differs()) return instant;
  }
  return null;
}

/** A role, or a permission by its number. */
type Counted = RoleKey | number;

/** How often each role and permission is given to somebody or denied. */
class Tally {
  readonly #catalogue: Catalogue;
  readonly #note: (name: Counted) => void;
  readonly #given = new Map<Counted, number>();
  readonly #denied = new Map<Counted, number>();

  /** `note` is told whatever is counted. */
  constructor(catalogue: Catalogue, note: (name: Counted) => void) {
    this.#catalogue = catalogue;
    this.#note = note;
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

  has(name: Counted): boolean {
    return (this.#given.get(name) ?? 0) > 0 && (this.#denied.get(name) ?? 0) === 0;
  }

  #add(tally: Map<Counted, number>, name: Counted, by: number): void {
    tally.set(name, (tally.get(name) ?? 0) + by);
    this.#note(name);
  }
}

/** What is on the list, and what of it is otherwise than when remembered. */
class Shown {
  readonly user: Tally;
  /** Of whoever acts for the user. */
  readonly other: Tally;
  readonly #limits: Limits | null;
  /** By number, what the list is narrowed to; null where it is not. */
  readonly #narrowedTo: ReadonlySet<Counted | undefined> | null;
  /** What whoever acts needs for that, by number; undefined where nobody can have it. */
  readonly #needed: number | undefined;
  readonly #counting = new Set<Counted>();
  readonly #different = new Set<Counted>();
  #remembered: ReadonlySet<Counted> = new Set();
  #wasOpen = true;

  constructor(catalogue: Catalogue, limits: Limits | null) {
    const note = (name: Counted) => this.#note(name);
    this.user = new Tally(catalogue, note);
    this.other = new Tally(catalogue, note);
    this.#limits = limits;
    const { narrowedTo = null, through } = limits ?? {};
    this.#narrowedTo = narrowedTo && new Set([...narrowedTo].map((slug) => catalogue.numberOf(slug)));
    const isLeft = through && (narrowedTo?.has(through.needs) ?? true);
    this.#needed = isLeft ? catalogue.numberOf(through.needs) : undefined;
  }

  /** From here on `differs` compares with what counts now. */
  remember(): void {
    this.#remembered = new Set(this.#counting);
    this.#wasOpen = this.#isOpen();
    this.#different.clear();
  }

  differs(): boolean {
    const isOpen = this.#isOpen();
    if (this.#wasOpen && isOpen) return this.#different.size > 0;
    // Where nobody may act, nothing is on the list.
    return (this.#wasOpen && this.#remembered.size > 0) || (isOpen && this.#counting.size > 0);
  }

  #isOpen(): boolean {
    if (!this.#limits?.through) return true;
    return this.#needed !== undefined && this.other.has(this.#needed);
  }

  #note(name: Counted): void {
    if (this.#limits && (typeof name !== 'number' || this.#narrowedTo?.has(name) === false)) return;
    const counts = this.user.has(name) && (!this.#limits?.through || this.other.has(name));
    if (counts) this.#counting.add(name);
    else this.#counting.delete(name);
    if (counts === this.#remembered.has(name)) this.#different.delete(name);
    else this.#different.add(name);
  }
}
