import { isMap, isScalar, LineCounter } from 'yaml';
import { parseRoleKey } from '../ids.ts';
import { apiOrigin } from '../origins.ts';
import { type Entry, type Item, placeOf, readList, readMembers, readText } from './entries.ts';
import { FaultList, quoted } from './faults.ts';
import { readYaml } from './yaml-source.ts';

/** One file as it came, from a folder or a request. `name` is how messages name it. */
export interface MatrixText {
  readonly name: string;
  readonly text: string;
}

/** A file of which is known which layer it is, before what it declares is looked at. */
export interface MatrixFile {
  readonly id: string;
  /** Where the id is written. */
  readonly at: number;
  readonly dependsOn: readonly Item[];
  readonly members: ReadonlyMap<string, Entry>;
  readonly faults: FaultList;
}

/** A file that does not say which layer it is, is the baseline, whatever it is called. */
export const baselineId = 'baseline';

/** Origins that are nobody's file. */
export const reservedIds: readonly string[] = [apiOrigin, 'builtin', baselineId];

const baselineShape = {
  label: 'the matrix',
  required: ['version', 'permissions', 'roles'],
  optional: ['acknowledge'],
};
const layerShape = {
  label: 'the layer',
  required: ['version', 'id'],
  optional: ['depends_on', 'permissions', 'roles', 'add', 'withhold', 'include', 'exclude', 'acknowledge'],
};

/** Reads a file as far as its header. Throws `matrix_invalid` if it is not YAML: nothing said about the rest would be reliable. */
export function openMatrixFile({ name, text }: MatrixText): MatrixFile {
  const lines = new LineCounter();
  const faults = new FaultList(name, lines);
  // Editors do not show a byte order mark, so no column counts it.
  const root = readYaml(text.replace(/^\uFEFF/, ''), lines, faults);
  const whole: Entry = { key: '', at: root.range[0], node: root };
  const isLayer = isMap(root) && root.has('id');
  const members = readMembers(whole, isLayer ? layerShape : baselineShape, faults);
  const version = members.get('version');
  if (version && !(isScalar(version.node) && version.node.value === 1))
    faults.add(placeOf(version), 'unsupported_version', '"version" must be 1');
  const id = members.get('id');
  const dependsOn = members.get('depends_on');
  return {
    id: (id && readId(id, faults)) ?? (isLayer ? '' : baselineId),
    at: id ? placeOf(id) : whole.at,
    dependsOn: dependsOn ? readList(dependsOn, '"depends_on"', faults) : [],
    members,
    faults,
  };
}

function readId(entry: Entry, faults: FaultList): string | undefined {
  const id = readText(entry, '"id"', faults);
  if (id === undefined) return undefined;
  // The ids of layers are origins beside one another in a column, and have the form of role keys.
  if (!parseRoleKey(id).ok)
    faults.add(
      placeOf(entry),
      'malformed_name',
      `malformed id ${quoted(id)}: lower-case words joined by "_" or "-", beginning with a letter, at most 100 characters`,
    );
  if (reservedIds.includes(id))
    faults.add(placeOf(entry), 'malformed_name', `the id ${quoted(id)} is reserved`);
  return id;
}
