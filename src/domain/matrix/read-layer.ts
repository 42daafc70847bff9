import type { RoleKey } from '../ids.ts';
import { readAmendments } from './amendment-sections.ts';
import { sealLayer } from './content-hash.ts';
import type { DeclaredRole, MatrixLayer } from './document.ts';
import { readEntries, readList } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';
import { baselineId, type MatrixFile } from './file-header.ts';
import { type IncludeGraph, resolveIncludes } from './includes.ts';
import { dependenciesOf } from './layer-order.ts';
import { readPermissions, type SlugHolders } from './permission-section.ts';
import { expandPermissions, findPermissions, type Vocabulary, vocabularyOf } from './references.ts';
import { readRoles } from './role-section.ts';
import type { Acknowledgement } from './twins.ts';

/** What exists before any file: it may be named and not be declared. */
export type Builtin = Pick<MatrixLayer, 'permissions' | 'roles'>;

/** What has been read so far, and what it means to the files after. */
export interface Reading {
  readonly builtin: Builtin;
  readonly holders: SlugHolders;
  readonly graph: IncludeGraph;
  readonly layers: Map<string, MatrixLayer>;
  /** The ids that each file names. */
  readonly dependsOn: ReadonlyMap<string, readonly string[]>;
}

/** Reads what a file declares into a layer. Returns what it acknowledges. */
export function readLayer(file: MatrixFile, reading: Reading): readonly Acknowledgement[] {
  const { id, members, faults } = file;
  const { builtin, graph, holders } = reading;
  const seen = layersSeenBy(id, reading);
  const section = members.get('permissions');
  const declared = section && readPermissions(section, holders, faults);
  const roleSection = members.get('roles');
  const written = roleSection ? readRoles(roleSection, faults) : [];
  const visible = new Set<RoleKey>([...seen, builtin].flatMap(({ roles }) => roles.map(({ key }) => key)));
  for (const { key } of written) visible.add(key);
  const includes = resolveIncludes(written, visible, graph, faults);
  // Where a list of permissions is wanted and there is none, every reference would be unknown, which says nothing new.
  const isBlind = declared === undefined && (section !== undefined || id === baselineId);
  const words = [...seen.flatMap(({ permissions }) => permissions), ...(declared ?? [])];
  const vocabulary = isBlind ? undefined : vocabularyOf(words, builtin.permissions);
  const roles = written.map(
    ({ key, name, description, isSystem, permissions }): DeclaredRole => ({
      key,
      name,
      description,
      isSystem,
      includes: includes.get(key) ?? [],
      permissions: vocabulary ? expandPermissions(permissions, vocabulary, faults) : [],
    }),
  );
  const amendments = vocabulary ? readAmendments(members, roles, { vocabulary, visible, graph, faults }) : [];
  reading.layers.set(
    id,
    sealLayer(id, {
      permissions: (declared ?? []).toSorted((a, b) => (a.slug < b.slug ? -1 : 1)),
      roles: roles.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      dependsOn: [...new Set(reading.dependsOn.get(id))].filter((other) => other !== baselineId).sort(),
      amendments,
    }),
  );
  return vocabulary ? readAcknowledgements(file, vocabulary, faults) : [];
}

function layersSeenBy(id: string, { layers, dependsOn }: Reading): readonly MatrixLayer[] {
  const nodes = [...dependsOn].map(([layer, ids]) => ({ id: layer, dependsOn: ids }));
  const seen = dependenciesOf(id, nodes);
  return [...layers.values()].filter((layer) => layer.id === baselineId || seen.has(layer.id));
}

function readAcknowledgements(
  { members }: MatrixFile,
  vocabulary: Vocabulary,
  faults: FaultList,
): Acknowledgement[] {
  const section = members.get('acknowledge');
  return ((section && readEntries(section, '"acknowledge"', faults)) ?? []).flatMap((entry) => {
    const [one] = findPermissions([{ text: entry.key, at: entry.at }], vocabulary, faults);
    const items = readList(entry, `"acknowledge" of ${quoted(entry.key)}`, faults);
    const others = findPermissions(items, vocabulary, faults);
    return one === undefined ? [] : others.map((other) => [one, other] as const);
  });
}
