import type { Catalogue } from '../../domain/decision/catalogue.ts';
import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { nextChange } from '../../domain/decision/next-change.ts';
import type { CompiledAccess } from '../../domain/decision/user-access.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { CachedUser } from './cached-user.ts';
import { OwnedCache } from './owned-cache.ts';

/** What a user may do in a scope, until something changes it. */
export interface UserPermissions {
  readonly user: UserId;
  readonly scope: Scope;
  readonly permissions: readonly PermissionSlug[];
  readonly roles: readonly RoleKey[];
  /** When this changes by itself. */
  readonly expiresAt: Instant | null;
}

interface Kept {
  readonly userPk: number;
  readonly access: CompiledAccess;
  readonly list: UserPermissions;
}

/** Estimated bytes in memory, with the text that an answer makes of it. */
const weights = { list: 400, name: 60 };

/** The list that each user was last asked for, as one object for as long as nothing in it changes. */
export class PermissionLists {
  readonly #kept: OwnedCache<CachedUser, Kept>;
  /** Of all lists that are kept. They are dropped when it changes: they would keep the old one in memory. */
  #catalogue: Catalogue | undefined;

  constructor(bytes: number) {
    this.#kept = new OwnedCache(
      bytes,
      ({ list }) => weights.list + weights.name * (list.permissions.length + list.roles.length),
    );
  }

  of(user: CachedUser, access: CompiledAccess, scope: Scope): UserPermissions {
    if (this.#catalogue !== access.catalogue) this.#kept.clear();
    this.#catalogue = access.catalogue;
    const kept = this.#kept.get(user);
    if (kept?.access === access && kept.list.scope === scope) return kept.list;
    const list = {
      user: user.id,
      scope,
      ...effectiveAccess(access, scope),
      expiresAt: nextChange(access.catalogue, access.user, scope, access.at),
    };
    this.#kept.set(user, { userPk: user.userPk, access, list });
    return list;
  }
}
