import { type ErrorCode, type InputFault, RolecallError } from './errors.ts';
import type { PermissionSlug } from './ids.ts';
import { isReserved, nameOf, type PermissionName, slugOf } from './permissions.ts';

/**
 * A permission to register: by both its parts, or by the slug of one that is registered already or is named
 * by its parts in the same request.
 */
export type Registration = (PermissionName | { readonly slug: PermissionSlug }) & {
  readonly description: string;
  /** Where the caller wrote it, for errors. */
  readonly pointer?: string;
};

/** One permission to register, however often and in whichever notation it was asked for. */
export interface Registrable extends PermissionName {
  readonly description: string;
}

export function slugOfWanted(wanted: Registration): PermissionSlug {
  return 'slug' in wanted ? wanted.slug : slugOf(wanted);
}

/**
 * What to register for each of these, in their order; which comes first makes no difference.
 * Throws `slug_collision` if two
 * permissions would share a slug, or `invalid_input` for a slug that nobody names by its parts, a reserved resource, or
 * a permission that is described in two ways; with the place of every one at fault.
 */
export function resolveRegistrations(
  wanted: readonly Registration[],
  standing: readonly (PermissionName & { readonly slug: PermissionSlug })[],
): readonly Registrable[] {
  const names = new Map<PermissionSlug, PermissionName>(standing.map((row) => [row.slug, row]));
  for (const one of wanted) if (!('slug' in one) && !names.has(slugOf(one))) names.set(slugOf(one), one);
  const descriptions = new Map<PermissionSlug, string>();
  for (const one of wanted)
    if (one.description !== '' && !descriptions.has(slugOfWanted(one)))
      descriptions.set(slugOfWanted(one), one.description);

  const faults = wanted.flatMap((one) => {
    const slug = slugOfWanted(one);
    return faultsOf(one, names.get(slug), descriptions.get(slug) ?? '');
  });
  const [first] = faults;
  if (first)
    throw new RolecallError(first.error, first.detail, {
      errors: faults.map(({ pointer, code, detail }) => ({ pointer, code, detail })),
    });
  return wanted.map((one) => {
    const slug = slugOfWanted(one);
    const { resource, action } = names.get(slug) as PermissionName;
    return { resource, action, description: descriptions.get(slug) ?? '' };
  });
}

interface Fault extends InputFault {
  readonly error: ErrorCode;
}

function faultsOf(wanted: Registration, known: PermissionName | undefined, described: string): Fault[] {
  const { description, pointer = '' } = wanted;
  const fault = (error: ErrorCode, code: string, detail: string) => [{ error, pointer, code, detail }];
  const invalid = (detail: string) => fault('invalid_input', 'invalid_value', detail);
  if (!known)
    return invalid(
      `"${slugOfWanted(wanted)}" is not registered: name its resource and its action, as resource.action`,
    );
  if (isReserved(known.resource))
    return invalid(`${nameOf(known)}: the resource "${known.resource}" is reserved for the service itself`);
  if (!('slug' in wanted) && nameOf(wanted) !== nameOf(known)) {
    const detail = `${nameOf(wanted)} and ${nameOf(known)} would both be ${slugOf(known)}`;
    return fault('slug_collision', 'slug_collision', detail);
  }
  if (description !== '' && description !== described)
    return invalid(`${nameOf(known)} is described in two ways in one request`);
  return [];
}
