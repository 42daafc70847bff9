import { createHash } from 'node:crypto';
import type { DeclaredPermission, DeclaredRole, MatrixContent, MatrixLayer } from './document.ts';

/** Makes a layer of a content in canonical order, with the hash that tells whether two contents are the same. */
export function sealLayer(id: string, content: MatrixContent): MatrixLayer {
  return { id, ...content, contentHash: hashContent(content) };
}

function hashContent(content: MatrixContent): string {
  const canonical = JSON.stringify([
    content.permissions.map(permissionFields),
    content.roles.map(roleFields),
  ]);
  return createHash('sha256').update(canonical, 'utf8').digest('hex');
}

function permissionFields({ resource, action, description }: DeclaredPermission) {
  return [resource, action, description];
}

function roleFields({ key, name, description, isSystem, includes, permissions }: DeclaredRole) {
  return [key, name, description, isSystem, includes, permissions];
}
