import { type PermissionSlug, parsePermissionPart } from '../ids.ts';
import { isReserved, nameOf, type PermissionName, slugOf } from '../permissions.ts';
import type { DeclaredPermission } from './document.ts';
import { type Entry, readEntries, readText } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';

/** Who has which slug, over all files, and where they are declared if in a file. */
export type SlugHolders = Map<
  PermissionSlug,
  { readonly permission: PermissionName; readonly place?: string }
>;

/** The slugs that nobody may take, before any file. */
export function holdersOf(reserved: readonly DeclaredPermission[]): SlugHolders {
  return new Map(reserved.map((permission) => [permission.slug, { permission }]));
}

/**
 * Reads `permissions:`; undefined if it is not a mapping. Faults: a malformed name, the reserved resource, and two
 * permissions with one slug, be the other one in this file, in one read before or among the reserved (a
 * slug maps back to exactly one permission). What is declared is added to the holders.
 */
export function readPermissions(
  section: Entry,
  holders: SlugHolders,
  faults: FaultList,
): DeclaredPermission[] | undefined {
  const resources = readEntries(section, '"permissions"', faults);
  return resources?.flatMap((resource) => readResource(resource, holders, faults));
}

function readResource(entry: Entry, holders: SlugHolders, faults: FaultList): DeclaredPermission[] {
  if (isReserved(entry.key)) {
    const detail = `the resource "${entry.key}" is reserved, its permissions are built in`;
    faults.add(entry.at, 'reserved_resource', detail);
    return [];
  }
  const resource = readName(entry, 'resource', faults);
  const actions = readEntries(entry, `resource ${quoted(entry.key)}`, faults) ?? [];
  return actions.flatMap((actionEntry) => {
    const action = readName(actionEntry, 'action', faults);
    const label = `the description of ${quoted(`${entry.key}.${actionEntry.key}`)}`;
    const description = readText(actionEntry, label, faults) ?? '';
    if (resource === undefined || action === undefined) return [];
    const permission = { resource, action, slug: slugOf({ resource, action }), description };
    claimSlug(permission, actionEntry.at, holders, faults);
    return [permission];
  });
}

function readName(entry: Entry, part: 'resource' | 'action', faults: FaultList): string | undefined {
  const name = parsePermissionPart(entry.key);
  if (name.ok) return name.value;
  faults.add(entry.at, 'malformed_name', `malformed ${part} ${quoted(entry.key)}: ${name.why}`);
  return undefined;
}

function claimSlug(
  permission: DeclaredPermission,
  at: number,
  holders: SlugHolders,
  faults: FaultList,
): void {
  const holder = holders.get(permission.slug);
  const own = nameOf(permission);
  if (holder === undefined) holders.set(permission.slug, { permission, place: faults.place(at) });
  // A later layer may describe a permission anew.
  else if (nameOf(holder.permission) !== own) {
    const other = `"${nameOf(holder.permission)}"`;
    const named = holder.place === undefined ? `the built-in ${other}` : `${other} at ${holder.place}`;
    faults.add(at, 'slug_collision', `"${own}" and ${named} share the slug "${permission.slug}"`);
  }
}
