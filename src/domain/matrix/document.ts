import type { PermissionSlug, RoleKey } from '../ids.ts';

/** A permission as a layer declares it. */
export interface DeclaredPermission {
  readonly resource: string;
  readonly action: string;
  readonly slug: PermissionSlug;
  readonly description: string;
}

/** A role as a layer declares it. Lists are sorted and distinct; wildcards are already expanded. */
export interface DeclaredRole {
  readonly key: RoleKey;
  readonly name: string;
  readonly description: string;
  readonly isSystem: boolean;
  readonly includes: readonly RoleKey[];
  readonly permissions: readonly PermissionSlug[];
}

/** What a layer changes about a role that may be another layer's. Lists are sorted and distinct; none says the opposite of another. */
export interface RoleAmendment {
  readonly role: RoleKey;
  readonly add: readonly PermissionSlug[];
  readonly withhold: readonly PermissionSlug[];
  readonly include: readonly RoleKey[];
  readonly exclude: readonly RoleKey[];
}

/** What a layer says, permissions sorted by slug, roles and amendments by key, dependencies by id. */
export interface MatrixContent {
  readonly permissions: readonly DeclaredPermission[];
  readonly roles: readonly DeclaredRole[];
  /** The layers, besides the baseline, that must be there and whose names it uses. */
  readonly dependsOn: readonly string[];
  readonly amendments: readonly RoleAmendment[];
}

/** One source of declarations: the built-in one, the baseline file, the layers on top of it. */
export interface MatrixLayer extends MatrixContent {
  /** The origin that its includes and edges carry: `builtin`, `baseline`, ... */
  readonly id: string;
  /** SHA-256 in hex over the content alone: formatting, comments and order of the source do not matter. */
  readonly contentHash: string;
}
