import type { PermissionSlug, RoleKey } from '../ids.ts';
import type { DeclaredPermission } from './document.ts';
import type { EdgeRow, IncludeRow, RoleIdentity } from './layers.ts';

export interface LivePermission extends DeclaredPermission {
  /** The first layer that declares it; null when it came through the API. */
  readonly declaredIn: string | null;
  readonly retired: boolean;
}

export interface LiveRole extends RoleIdentity {
  readonly declaredIn: string | null;
  /** Whether a grant gives it to somebody, be it expired or in the future, a setting to every new user, or a mapping. */
  readonly held: boolean;
}

/** What the database holds: includes and edges of every origin, tombstones too. */
export interface LiveMatrix {
  readonly permissions: readonly LivePermission[];
  readonly roles: readonly LiveRole[];
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
}

export type IncludeChange = { readonly kind: 'include_removed' | 'include_added' } & IncludeRow;
export type EdgeChange = { readonly kind: 'edge_removed' | 'edge_added' } & EdgeRow;

/**
 * One step from what is to what is declared. `layer` becomes `declaredIn`. A declaration that `revives` takes over a
 * row that exists: retired, made through the API, or declared by another layer until now. A role that is undeclared
 * while people hold it or have changed it stays as an ordinary one (its grants are people's, not the matrix's):
 * `declaredIn` null, no longer a system role; any other goes. A retired permission keeps its row, so that its slug stays
 * reserved.
 */
export type MatrixChange =
  | {
      readonly kind: 'permission_declared';
      readonly permission: DeclaredPermission;
      readonly layer: string;
      readonly revives: boolean;
    }
  | {
      readonly kind: 'permission_described';
      readonly slug: PermissionSlug;
      readonly before: string;
      readonly after: string;
    }
  | {
      readonly kind: 'role_declared';
      readonly role: RoleIdentity;
      readonly layer: string;
      readonly revives: boolean;
    }
  | {
      readonly kind: 'role_described';
      readonly key: RoleKey;
      readonly before: RoleIdentity;
      readonly after: RoleIdentity;
    }
  | IncludeChange
  | EdgeChange
  | { readonly kind: 'role_undeclared' | 'role_removed'; readonly key: RoleKey }
  | { readonly kind: 'permission_retired'; readonly slug: PermissionSlug };

/** Whether a role gives something by the change, or no longer. */
export function isEdge(change: MatrixChange): change is EdgeChange {
  return change.kind === 'edge_added' || change.kind === 'edge_removed';
}

/** What a role is called. */
export type RoleWords = Pick<RoleIdentity, 'name' | 'description'>;

/**
 * Where what is live differs from what the matrix says, because somebody changed it past the matrix. `live` is what
 * counts; `layers` are those that say the opposite.
 */
export type Deviation =
  | {
      readonly kind: 'edge';
      readonly role: RoleKey;
      readonly permission: PermissionSlug;
      readonly live: 'given' | 'withheld';
      readonly layers: readonly string[];
    }
  | {
      readonly kind: 'include';
      readonly role: RoleKey;
      readonly included: RoleKey;
      readonly live: 'given' | 'withheld';
      readonly layers: readonly string[];
    }
  | {
      readonly kind: 'role_words';
      readonly role: RoleKey;
      readonly live: RoleWords;
      readonly declared: RoleWords;
    }
  | { readonly kind: 'undeclared_role'; readonly role: RoleKey; readonly live: RoleWords }
  | { readonly kind: 'undeclared_permission'; readonly permission: DeclaredPermission };

/** Which side wins where the matrix and somebody, past the matrix, changed the same thing. */
export type Preference = 'matrix' | 'live';
