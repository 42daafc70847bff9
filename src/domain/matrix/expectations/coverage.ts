import type { PermissionSlug, RoleKey } from '../../ids.ts';

/** How many of the cells of role x permission some expectation says something about. */
export interface Coverage {
  readonly covered: number;
  readonly cells: number;
  readonly roles: readonly { readonly role: RoleKey; readonly covered: number; readonly cells: number }[];
}

/** Gathers the cells that expectations are about. */
export class CoveredCells {
  readonly #cells: ReadonlyMap<RoleKey, Set<PermissionSlug>>;
  readonly #permissions: number;

  constructor(roles: Iterable<RoleKey>, permissions: number) {
    this.#cells = new Map([...roles].sort().map((role) => [role, new Set()]));
    this.#permissions = permissions;
  }

  add(role: RoleKey, permission: PermissionSlug): void {
    this.#cells.get(role)?.add(permission);
  }

  count(): Coverage {
    const cells = this.#permissions;
    const roles = [...this.#cells].map(([role, { size }]) => ({ role, covered: size, cells }));
    const covered = roles.reduce((sum, role) => sum + role.covered, 0);
    return { covered, cells: cells * roles.length, roles };
  }
}
