import { createHash } from 'node:crypto';
import type {
  DeclaredPermission,
  DeclaredRole,
  MatrixContent,
  MatrixLayer,
  RoleAmendment,
} from './document.ts';

/** What a layer says, as far as it says anything: most neither depend on others nor amend them. */
export type LayerDraft = Pick<MatrixContent, 'permissions' | 'roles'> & Partial<MatrixContent>;

/** Makes a layer of a content in canonical order, with the hash that tells whether two contents are the same. */
export function sealLayer(
  id: string,
  { permissions, roles, dependsOn = [], amendments = [] }: LayerDraft,
): MatrixLayer {
  const content = { permissions, roles, dependsOn, amendments };
  return { id, ...content, contentHash: hashContent(content) };
}

function hashContent({ permissions, roles, dependsOn, amendments }: MatrixContent): string {
  const canonical = JSON.stringify([
    permissions.map(permissionFields),
    roles.map(roleFields),
    ...(dependsOn.length + amendments.length > 0 ? [dependsOn, amendments.map(amendmentFields)] : []),
  ]);
  return createHash('sha256').update(canonical, 'utf8').digest('hex');
}

function permissionFields({ resource, action, description }: DeclaredPermission) {
  return [resource, action, description];
}

function roleFields({ key, name, description, isSystem, includes, permissions }: DeclaredRole) {
  return [key, name, description, isSystem, includes, permissions];
}

function amendmentFields({ role, add, withhold, include, exclude }: RoleAmendment) {
  return [role, add, withhold, include, exclude];
}
