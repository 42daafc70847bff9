import type { PermissionSlug, RoleKey } from '../ids.ts';
import { reservedResource, slugOf } from '../permissions.ts';
import { sealLayer } from './content-hash.ts';
import type { DeclaredPermission, DeclaredRole, MatrixLayer } from './document.ts';

/** What the service asks about its own callers: the actions of the reserved resource. */
const builtinActions = {
  check: 'Ask what others may do',
  read_users: 'See users, their grants and exceptions, and what follows from them',
  manage_users: 'Create, change, deactivate and delete users, and link identities to them',
  grant_roles: 'Give roles to users and take them back',
  grant_permissions: 'Allow or deny single permissions to users',
  read_roles: 'See roles, what they include and what they give',
  manage_roles: 'Create, change and delete roles, and what they include and give',
  manage_matrix: 'Plan and apply the matrix: what the files say all roles are',
  read_permissions: 'See the catalogue of permissions',
  manage_permissions: 'Register, describe and retire permissions',
  read_keys: 'See API keys, never their secrets',
  manage_keys: 'Create, rotate and revoke API keys',
  read_settings: 'See the settings',
  manage_settings: 'Change the settings',
  erase_users: 'Erase what is personal of users, for good',
  read_journal: 'See the record of changes, and who was refused one',
  act_for: 'Act for a user, with what both may do',
  read_mappings: 'See which claims of tokens give which roles',
  manage_mappings: 'Say which claims of tokens give which roles',
  read_metrics: 'See what the running service counts',
  escalate: 'Give what one does not hold oneself',
} as const;

/** The slug of a built-in permission, so that a route cannot name one that does not exist. */
export type BuiltinPermission = `${typeof reservedResource}_${keyof typeof builtinActions}`;

/** The role without which nobody could repair anything: it always has an active, unbounded holder. */
export const administratorRole = 'admin' as RoleKey;

/** What exists in every installation, before any file: the service's own permissions and who has them all. */
export const builtinLayer: MatrixLayer = sealLayer('builtin', {
  permissions: declarePermissions(),
  roles: [declareAdministrator()],
});

/** What no administrator may be denied. */
export const builtinSlugs: readonly PermissionSlug[] = builtinLayer.permissions.map(({ slug }) => slug);

function declarePermissions(): DeclaredPermission[] {
  return Object.entries(builtinActions)
    .map(([action, description]) => {
      const name = { resource: reservedResource, action };
      return { ...name, slug: slugOf(name), description };
    })
    .sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

function declareAdministrator(): DeclaredRole {
  return {
    key: administratorRole,
    name: 'Administrator',
    description: 'Holds every permission of the service itself',
    isSystem: true,
    includes: [],
    permissions: declarePermissions().map(({ slug }) => slug),
  };
}
