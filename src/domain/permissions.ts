import { type Parsed, type PermissionSlug, parsePermissionPart } from './ids.ts';

/** The reserved resource by which the service protects itself; no file, wildcard or caller may declare into it. */
export const reservedResource = 'rolecall';

/** Resources that only a release of the service may declare into: a later action must not find its slug taken. */
export function isReserved(resource: string): boolean {
  return resource === reservedResource || resource.startsWith(`${reservedResource}_`);
}

export interface PermissionName {
  readonly resource: string;
  readonly action: string;
}

/**
 * The string that goes out: `adminpanel` + `view_dashboard` is `adminpanel_view_dashboard`. It is made here and in the
 * generated column of `permissions`, and never taken apart: `a_b` + `c` and `a` + `b_c` share one slug, which is why
 * two such permissions cannot both exist.
 */
export function slugOf(permission: PermissionName): PermissionSlug {
  return `${permission.resource}_${permission.action}` as PermissionSlug;
}

/** How people and files write a permission: `resource.action`. */
export function nameOf({ resource, action }: PermissionName): string {
  return `${resource}.${action}`;
}

/**
 * Reads a permission as a caller may write it: `resource.action`, `resource:action` or the slug. All three come to the
 * slug, which is opaque from then on. Whether it is registered is not asked here.
 */
export function parsePermissionReference(text: string): Parsed<PermissionSlug> {
  const separator = text.search(/[.:]/);
  if (separator === -1) {
    if (text.length <= 201 && /^[a-z][a-z0-9]*(?:_[a-z0-9]+)+$/.test(text))
      return { ok: true, value: text as PermissionSlug };
    return { ok: false, why: 'a permission is resource.action, resource:action or resource_action' };
  }
  const name = parsePermissionName(text);
  return name.ok ? { ok: true, value: slugOf(name.value) } : name;
}

/** Reads `resource.action` or `resource:action`, the notations that name both parts. */
export function parsePermissionName(text: string): Parsed<PermissionName> {
  const separator = text.search(/[.:]/);
  if (separator === -1) return { ok: false, why: 'a permission is declared as resource.action' };
  const resource = parsePermissionPart(text.slice(0, separator));
  if (!resource.ok) return resource;
  const action = parsePermissionPart(text.slice(separator + 1));
  if (!action.ok) return action;
  return { ok: true, value: { resource: resource.value, action: action.value } };
}

/**
 * Reads a permission that somebody other than a release of the service may register: both parts, or the slug of one that is
 * registered by its parts elsewhere. A slug by itself does not say where the resource ends.
 */
export function parseRegistrable(text: string): Parsed<PermissionName | { readonly slug: PermissionSlug }> {
  if (!/[.:]/.test(text)) {
    const slug = parsePermissionReference(text);
    return slug.ok ? { ok: true, value: { slug: slug.value } } : slug;
  }
  const name = parsePermissionName(text);
  if (!name.ok || !isReserved(name.value.resource)) return name;
  return { ok: false, why: `the resource "${name.value.resource}" is reserved for the service itself` };
}
