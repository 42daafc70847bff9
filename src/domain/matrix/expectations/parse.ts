import { isScalar, LineCounter } from 'yaml';
import { type PermissionSlug, parseRoleKey, parseScope, type RoleKey, type Scope } from '../../ids.ts';
import { everywhere } from '../../scopes.ts';
import { type Entry, type Item, placeOf, readItems, readList, readMembers, readText } from '../entries.ts';
import { FaultList, quoted } from '../faults.ts';
import { expandPermissions, type Vocabulary } from '../references.ts';
import { readYaml } from '../yaml-source.ts';

/** A role that somebody in a test has, and where. */
export interface HeldRole {
  readonly role: RoleKey;
  readonly scope: Scope;
}

/** One thing that a test file expects: whether somebody with these roles may do this there. */
export interface Expectation {
  /** `file:line:column` of the words that say so. */
  readonly place: string;
  /** What the file calls them. */
  readonly user: string;
  readonly roles: readonly HeldRole[];
  readonly permission: PermissionSlug;
  readonly scope: Scope;
  readonly allowed: boolean;
}

/** What tests may name. */
export interface Names {
  readonly roles: ReadonlySet<string>;
  readonly permissions: Vocabulary;
}

const fileShape = { label: 'the file', required: ['version', 'tests'], optional: [] };
const testShape = { label: 'a test', required: ['roles'], optional: ['user', 'scope', 'can', 'cannot'] };

/**
 * Reads a file of tests. Throws `matrix_invalid` with every fault, each with `file:line:column`: unknown roles and
 * permissions with the nearest names, a test that expects nothing, a permission that is expected twice.
 */
export function parseExpectations(fileName: string, text: string, names: Names): readonly Expectation[] {
  const lines = new LineCounter();
  const faults = new FaultList(fileName, lines);
  const root = readYaml(text.replace(/^\uFEFF/, ''), lines, faults);
  const members = readMembers({ key: '', at: root.range[0], node: root }, fileShape, faults);
  const version = members.get('version');
  if (version && !(isScalar(version.node) && version.node.value === 1))
    faults.add(placeOf(version), 'unsupported_version', '"version" must be 1');
  const section = members.get('tests');
  const tests = section ? readItems(section, '"tests"', faults) : [];
  const expectations = tests.flatMap((test) => readTest(test, names, faults));
  faults.throwIfAny();
  return expectations;
}

function readTest(test: Entry, names: Names, faults: FaultList): Expectation[] {
  const members = readMembers(test, testShape, faults);
  const listOf = (member: string) => {
    const entry = members.get(member);
    return entry ? readList(entry, `"${member}" of a test`, faults) : [];
  };
  const textOf = (member: string) => {
    const entry = members.get(member);
    const text = entry && readText(entry, `"${member}" of a test`, faults);
    return entry && text !== undefined ? { text, at: placeOf(entry) } : undefined;
  };
  const asked = textOf('scope');
  const common = {
    user: textOf('user')?.text ?? 'somebody',
    roles: listOf('roles').flatMap((item) => readHeldRole(item, names, faults)),
    scope: asked ? readScope(asked, faults) : everywhere,
  };
  const [can, cannot] = [listOf('can'), listOf('cannot')];
  if (can.length + cannot.length === 0)
    faults.add(test.at, 'missing_member', 'a test says what somebody "can" or "cannot"');
  const firstAt = new Map<PermissionSlug, number>();
  const expected = (items: readonly Item[], allowed: boolean) =>
    items.flatMap((item) =>
      expandPermissions([item], names.permissions, faults).map((permission) => {
        const first = firstAt.get(permission);
        if (first !== undefined)
          faults.add(item.at, 'duplicate', `${permission} is expected already, at ${faults.place(first)}`);
        firstAt.set(permission, item.at);
        return { ...common, place: faults.place(item.at), permission, allowed };
      }),
    );
  return [...expected(can, true), ...expected(cannot, false)];
}

/** `role`, or `role@scope` for a role that somebody has in one place. */
function readHeldRole({ text, at }: Item, names: Names, faults: FaultList): HeldRole[] {
  const [, name = '', place] = /^([^@]*)(?:@(.*))?$/s.exec(text) ?? [];
  const scope =
    place === undefined ? everywhere : readScope({ text: place, at: at + name.length + 1 }, faults);
  const key = parseRoleKey(name);
  if (key.ok && names.roles.has(key.value)) return [{ role: key.value, scope }];
  faults.addUnknown(at, 'unknown_role', `unknown role ${quoted(name)}`, name, names.roles);
  return [];
}

function readScope({ text, at }: Item, faults: FaultList): Scope {
  const scope = parseScope(text);
  if (scope.ok) return scope.value;
  faults.add(at, 'malformed_name', `malformed scope ${quoted(text)}: ${scope.why}`);
  return everywhere;
}
