import { type InputFault, RolecallError } from '../errors.ts';
import { didYouMean, nearestNames } from '../suggestions.ts';
import type { DeclaredPermission, MatrixLayer } from './document.ts';
import { quoted, refuseFaults } from './faults.ts';
import { baselineId, type MatrixFile, type MatrixText, openMatrixFile } from './file-header.ts';
import { refuseCycles } from './includes.ts';
import { dependenciesOf, orderLayers } from './layer-order.ts';
import { holdersOf } from './permission-section.ts';
import { type Builtin, type Reading, readLayer } from './read-layer.ts';
import type { Acknowledgement } from './twins.ts';

/** All files of a matrix, read. */
export interface MatrixSource {
  /** The baseline first, then each layer after those it depends on: the same order however the files came. */
  readonly layers: readonly MatrixLayer[];
  /** Pairs of permissions that somebody looked at and meant both. */
  readonly acknowledged: readonly Acknowledgement[];
}

/** Reads a matrix of one file, the baseline. Throws as `parseMatrixFiles` does. */
export function parseMatrixFile(
  name: string,
  text: string,
  reserved: readonly DeclaredPermission[],
): MatrixLayer {
  const { layers } = parseMatrixFiles([{ name, text }], { permissions: reserved, roles: [] });
  return layers[0] as MatrixLayer;
}

/**
 * Reads the baseline and the layers on top of it. A layer sees what is built in, the baseline, and the layers it depends
 * on, directly or not; nothing else, so that it means the same wherever the others are.
 *
 * Throws `matrix_invalid` with every fault of every file, each `file:line:column what is wrong`, in the order of the
 * files and of their text; the same stand in `errors`. Text that is not YAML, and dependencies that cannot be met, are
 * refused before what the files say is looked at.
 */
export function parseMatrixFiles(texts: readonly MatrixText[], builtin: Builtin): MatrixSource {
  const files = openAll(texts);
  const ordered = inOrder(files);
  const reading: Reading = {
    builtin,
    holders: holdersOf(builtin.permissions),
    graph: new Map(),
    layers: new Map(),
    dependsOn: new Map(ordered.map((file) => [file.id, file.dependsOn.map(({ text }) => text)])),
  };
  const acknowledged: Acknowledgement[] = [];
  for (const file of ordered) acknowledged.push(...readLayer(file, reading));
  refuseCycles(reading.graph);
  refuseFaults(files.flatMap(({ faults }) => faults.found()));
  return { layers: [...reading.layers.values()], acknowledged };
}

/** Opens every file, so that each that is not YAML is named, and only then refuses. */
function openAll(texts: readonly MatrixText[]): readonly MatrixFile[] {
  const faults: InputFault[] = [];
  const files = texts.flatMap((text) => {
    try {
      return [openMatrixFile(text)];
    } catch (error) {
      if (!(error instanceof RolecallError && error.errors)) throw error;
      faults.push(...error.errors);
      return [];
    }
  });
  refuseFaults(faults);
  return files;
}

/** Throws `matrix_invalid` if the files do not make one matrix: no baseline or two, an id twice, a dependency that is missing. */
function inOrder(files: readonly MatrixFile[]): readonly MatrixFile[] {
  const byId = new Map<string, MatrixFile>();
  for (const file of files) {
    const first = byId.get(file.id);
    if (first === undefined) byId.set(file.id, file);
    else
      file.faults.add(
        file.at,
        'duplicate',
        file.id === baselineId
          ? `a second baseline, the first is ${first.faults.place(first.at)}: a layer has an "id"`
          : `duplicate id "${file.id}", first at ${first.faults.place(first.at)}`,
      );
  }
  if (!byId.has(baselineId))
    throw new RolecallError('matrix_invalid', 'no file is the baseline: it is the one without an "id"');
  for (const { dependsOn, faults } of files)
    for (const { text, at } of dependsOn)
      if (!byId.has(text)) {
        const near = didYouMean(nearestNames(text, byId.keys()));
        faults.add(at, 'unknown_layer', `there is no layer ${quoted(text)}${near}`);
      }
  const nodes = [...byId.values()].map((file) => ({
    id: file.id,
    dependsOn: file.id === baselineId ? [] : [baselineId, ...file.dependsOn.map(({ text }) => text)],
    file,
  }));
  const { ordered, cyclic } = orderLayers(nodes);
  for (const { id, file } of cyclic)
    if (dependenciesOf(id, nodes).has(id))
      file.faults.add(file.at, 'layer_cycle', `the layer "${id}" depends on itself`);
  const headers = files.flatMap(({ faults }) => faults.found());
  if (ordered.length < files.length || headers.some(({ code }) => code === 'unknown_layer'))
    refuseFaults(headers);
  return ordered.map(({ file }) => file);
}
