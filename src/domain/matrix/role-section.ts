import { parseRoleKey, type RoleKey } from '../ids.ts';
import {
  type Entry,
  type Item,
  readBoolean,
  readEntries,
  readList,
  readMembers,
  readText,
} from './entries.ts';
import { type FaultList, quoted } from './faults.ts';

/** A role as it is written, before what it refers to has been looked up. */
export interface WrittenRole {
  readonly key: RoleKey;
  readonly at: number;
  readonly name: string;
  readonly description: string;
  readonly isSystem: boolean;
  readonly includes: readonly Item[];
  readonly permissions: readonly Item[];
}

/** Reads `roles:`. A role with a malformed key is noted and left out; any other is kept, so that others can name it. */
export function readRoles(section: Entry, faults: FaultList): WrittenRole[] {
  const entries = readEntries(section, '"roles"', faults) ?? [];
  return entries.flatMap((entry) => {
    const key = parseRoleKey(entry.key);
    if (!key.ok)
      faults.add(entry.at, 'malformed_name', `malformed role key ${quoted(entry.key)}: ${key.why}`);
    const role = readRole(entry, faults);
    return key.ok ? [{ key: key.value, at: entry.at, ...role }] : [];
  });
}

function readRole(entry: Entry, faults: FaultList): Omit<WrittenRole, 'key' | 'at'> {
  const label = `role ${quoted(entry.key)}`;
  const shape = {
    label,
    required: ['name', 'description'],
    optional: ['system', 'includes', 'permissions'],
  };
  const members = readMembers(entry, shape, faults);
  const read = <T>(member: string, reader: (entry: Entry, label: string, faults: FaultList) => T) => {
    const found = members.get(member);
    return found && reader(found, `"${member}" of ${label}`, faults);
  };
  return {
    name: read('name', readText) ?? '',
    description: read('description', readText) ?? '',
    isSystem: read('system', readBoolean) ?? false,
    includes: read('includes', readList) ?? [],
    permissions: read('permissions', readList) ?? [],
  };
}
