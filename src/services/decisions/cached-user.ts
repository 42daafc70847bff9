import type { Catalogue } from '../../domain/decision/catalogue.ts';
import { type CompiledAccess, compileAccess, type UserAccess } from '../../domain/decision/user-access.ts';
import type { Instant, UserId } from '../../domain/ids.ts';
import type { UserRow } from '../../storage/read-models/user-rows.ts';

/** A user who exists, as of the cache's revision, with what they have compiled for the present. */
export class CachedUser {
  readonly userPk: number;
  readonly id: UserId;
  readonly access: UserAccess;
  #compiled: CompiledAccess | undefined;

  constructor({ pk, id, access }: UserRow) {
    this.userPk = pk;
    this.id = id;
    this.access = access;
  }

  /** What they have at an instant; compiled anew only when something started, expired or changed its meaning. */
  at(catalogue: Catalogue, now: Instant): CompiledAccess {
    const known = this.#compiled;
    if (known && known.catalogue === catalogue && known.from <= now && now < known.until) return known;
    this.#compiled = compileAccess(catalogue, this.access, now);
    return this.#compiled;
  }

  /** Lets go of what was compiled with another catalogue, which it would keep in memory. */
  release(present: Catalogue): void {
    if (this.#compiled?.catalogue !== present) this.#compiled = undefined;
  }
}
