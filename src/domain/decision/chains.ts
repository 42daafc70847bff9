import type { PermissionSlug, RoleKey } from '../ids.ts';
import type { Catalogue, EdgeRow, IncludeRow } from './catalogue.ts';

/** The rows that say why an include or an edge stands, each with who says so. */
export interface OriginRows {
  readonly includes: readonly (IncludeRow & { readonly origin: string })[];
  /** Of the one permission. */
  readonly edges: readonly (EdgeRow & { readonly origin: string })[];
}

/** A role on the way, and the origins that give the include or the edge. */
export interface Link {
  readonly role: RoleKey;
  readonly origins: readonly string[];
}

/** One way from a role to a permission: the roles included one in the other, and the one whose edge gives it. */
export interface Chain {
  readonly includes: readonly Link[];
  readonly edge: Link;
}

/** How many, as far as it is worth counting: includes that branch and meet again multiply without end. */
const uncountable = Number.MAX_SAFE_INTEGER;

/** Every way from roles to one permission. */
export class Chains {
  readonly #catalogue: Catalogue;
  readonly #permission: PermissionSlug;
  readonly #rows: OriginRows;
  readonly #counts = new Map<RoleKey, number>();

  constructor(catalogue: Catalogue, permission: PermissionSlug, rows: OriginRows) {
    this.#catalogue = catalogue;
    this.#permission = permission;
    this.#rows = rows;
  }

  /** The role's own edge first, then through each role it includes, in the order of their keys. */
  *from(role: RoleKey, includes: readonly Link[] = []): Generator<Chain> {
    if (this.#catalogue.hasEdge(role, this.#permission))
      yield { includes, edge: { role, origins: this.#edgeOrigins(role) } };
    for (const included of this.#next(role)) {
      const isCircle = includes.some((link) => link.role === included);
      const link = { role: included, origins: this.#includeOrigins(role, included) };
      if (!isCircle) yield* this.from(included, [...includes, link]);
    }
  }

  /** How many `from` yields, without walking them: no include leads back, writes refuse that. */
  countFrom(role: RoleKey): number {
    const known = this.#counts.get(role);
    if (known !== undefined) return known;
    // Should one lead back all the same, this ends the walk.
    this.#counts.set(role, 0);
    let count = this.#catalogue.hasEdge(role, this.#permission) ? 1 : 0;
    for (const included of this.#next(role)) count = Math.min(count + this.countFrom(included), uncountable);
    this.#counts.set(role, count);
    return count;
  }

  /** Only what leads to the permission, so that no step is taken in vain. */
  #next(role: RoleKey): RoleKey[] {
    const included = [...this.#catalogue.includedIn(role)];
    return included.filter((next) => this.#catalogue.gives(next, this.#permission)).sort();
  }

  #edgeOrigins(role: RoleKey): readonly string[] {
    return originsOf(this.#rows.edges.filter((row) => row.role === role));
  }

  #includeOrigins(role: RoleKey, included: RoleKey): readonly string[] {
    return originsOf(this.#rows.includes.filter((row) => row.role === role && row.included === included));
  }
}

function originsOf(rows: readonly { readonly origin: string }[]): readonly string[] {
  return rows.map((row) => row.origin).sort();
}
