import { isScalar, LineCounter } from 'yaml';
import { sealLayer } from './content-hash.ts';
import type { DeclaredPermission, DeclaredRole, MatrixLayer } from './document.ts';
import { type Entry, placeOf, readMembers } from './entries.ts';
import { FaultList } from './faults.ts';
import { resolveIncludes } from './includes.ts';
import { readPermissions } from './permission-section.ts';
import { expandPermissions, vocabularyOf } from './references.ts';
import { readRoles } from './role-section.ts';
import { readYaml } from './yaml-source.ts';

/** A file that does not say which layer it is, is the baseline, whatever it is called. */
const baselineId = 'baseline';

const matrixShape = { label: 'the matrix', required: ['version', 'permissions', 'roles'], optional: [] };

/**
 * Reads a matrix file. `fileName` is how messages name it; `reserved` are the built-in permissions, which roles may
 * name one by one and nothing may declare.
 *
 * Throws `matrix_invalid` with every fault of the file, each `file:line:column what is wrong`, in the order of the
 * text; the same stand in `errors`. Text that is not YAML is refused before what it says is looked at.
 */
export function parseMatrixFile(
  fileName: string,
  text: string,
  reserved: readonly DeclaredPermission[],
): MatrixLayer {
  const lines = new LineCounter();
  const faults = new FaultList(fileName, lines);
  // Editors do not show a byte order mark, so no column counts it.
  const root = readYaml(text.replace(/^\uFEFF/, ''), lines, faults);
  const members = readMembers({ key: '', at: root.range[0], node: root }, matrixShape, faults);

  const version = members.get('version');
  if (version) requireVersion(version, faults);
  const permissionSection = members.get('permissions');
  const permissions = permissionSection && readPermissions(permissionSection, reserved, faults);
  const roleSection = members.get('roles');
  const roles = roleSection && readDeclaredRoles(roleSection, permissions, reserved, faults);

  faults.throwIfAny();
  return sealLayer(baselineId, {
    permissions: (permissions ?? []).toSorted((a, b) => (a.slug < b.slug ? -1 : 1)),
    roles: (roles ?? []).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  });
}

function requireVersion(version: Entry, faults: FaultList): void {
  if (isScalar(version.node) && version.node.value === 1) return;
  faults.add(placeOf(version), 'unsupported_version', '"version" must be 1');
}

function readDeclaredRoles(
  section: Entry,
  declared: readonly DeclaredPermission[] | undefined,
  reserved: readonly DeclaredPermission[],
  faults: FaultList,
): DeclaredRole[] {
  const roles = readRoles(section, faults);
  const includes = resolveIncludes(roles, faults);
  // Without a list of permissions every reference would be unknown, which says nothing new.
  const vocabulary = declared && vocabularyOf(declared, reserved);
  return roles.map(({ key, name, description, isSystem, permissions }) => ({
    key,
    name,
    description,
    isSystem,
    includes: includes.get(key) ?? [],
    permissions: vocabulary ? expandPermissions(permissions, vocabulary, faults) : [],
  }));
}
