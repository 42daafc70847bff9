import { parsePermissionPart } from '../ids.ts';
import { isReserved, slugOf } from '../permissions.ts';
import type { DeclaredPermission } from './document.ts';
import { type Entry, readEntries, readText } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';

/** A permission and, if the file itself declares it, where. */
interface Holder {
  readonly permission: DeclaredPermission;
  readonly at?: number;
}

/**
 * Reads `permissions:`; undefined if it is not a mapping. Faults: a malformed name, the reserved resource, and two
 * permissions with one slug, be the other one in the file or among the reserved (requirement 2.3: a slug maps back to
 * exactly one permission).
 */
export function readPermissions(
  section: Entry,
  reserved: readonly DeclaredPermission[],
  faults: FaultList,
): DeclaredPermission[] | undefined {
  const resources = readEntries(section, '"permissions"', faults);
  const holders = new Map<string, Holder>(reserved.map((permission) => [permission.slug, { permission }]));
  return resources?.flatMap((resource) => readResource(resource, holders, faults));
}

function readResource(entry: Entry, holders: Map<string, Holder>, faults: FaultList): DeclaredPermission[] {
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
  holders: Map<string, Holder>,
  faults: FaultList,
): void {
  const holder = holders.get(permission.slug);
  if (holder === undefined) {
    holders.set(permission.slug, { permission, at });
    return;
  }
  const own = `"${permission.resource}.${permission.action}"`;
  const other = `"${holder.permission.resource}.${holder.permission.action}"`;
  const named = holder.at === undefined ? `the built-in ${other}` : `${other} at ${faults.place(holder.at)}`;
  faults.add(at, 'slug_collision', `${own} and ${named} share the slug "${permission.slug}"`);
}
