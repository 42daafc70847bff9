import { RolecallError } from '../../domain/errors.ts';
import { builtinLayer } from '../../domain/matrix/builtin.ts';
import type { MatrixChange } from '../../domain/matrix/changes.ts';
import { diffMatrix } from '../../domain/matrix/diff.ts';
import type { MatrixLayer } from '../../domain/matrix/document.ts';
import { baselineId } from '../../domain/matrix/file-header.ts';
import { orderLayers } from '../../domain/matrix/layer-order.ts';
import type { Provenance, TracedDeviation } from '../../domain/matrix/plan.ts';
import { formatRevision, parseRevision } from '../../domain/revisions.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { readMatrix } from '../../storage/matrix.ts';
import { isReached } from '../../storage/read-models/history-moments.ts';
import {
  type LayerEvent,
  readLayerContents,
  readLayerEvents,
} from '../../storage/read-models/matrix-history.ts';
import { traceDeviations } from '../../storage/read-models/provenance.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { Call } from '../call.ts';

/** How what is live differs from the matrix as it was last applied. */
export interface Drift {
  /** What somebody changed through the API. */
  readonly deviations: readonly TracedDeviation[];
  /** What was changed past the service, and what applying the same matrix again would do about it. */
  readonly tampering: readonly MatrixChange[];
  /** The ids of the layers of files, in their order. */
  readonly layers: readonly string[];
}

/** One application of a matrix. */
export interface MatrixVersion {
  readonly revision: string;
  readonly changed: Provenance;
  readonly applied: readonly { readonly layer: string; readonly contentHash: string }[];
  readonly removed: readonly string[];
}

export interface MatrixRecord {
  drift(call: Call): Promise<Drift>;
  /** Every application that changed a layer, newest first. */
  history(call: Call): Promise<readonly MatrixVersion[]>;
  /**
   * The layers of files as they stood at a revision, or before the last application. Throws `invalid_revision` if that is
   * no revision of this history, or if nothing that could be applied again stood then, and `lost_history`.
   */
  layersAt(call: Call, revision: string | undefined): Promise<readonly MatrixLayer[]>;
}

export function openMatrixRecord(transactions: Transactions): MatrixRecord {
  return {
    drift: (call) =>
      transactions.read(call.deadline, async (handle) => {
        const { live, applied } = await readMatrix(handle);
        const { changes, kept } = diffMatrix({ declared: applied, applied, live });
        return {
          deviations: await traceDeviations(handle, kept),
          tampering: changes,
          layers: applied.map(({ id }) => id).filter((id) => id !== builtinLayer.id),
        };
      }),

    history: (call) =>
      transactions.read(call.deadline, async (handle) => {
        const versions = new Map<number, LayerEvent[]>();
        for (const event of await readLayerEvents(handle))
          versions.set(event.value, [...(versions.get(event.value) ?? []), event]);
        return [...versions]
          .map(([value, events]) => ({
            revision: formatRevision({ epoch: (events[0] as LayerEvent).epoch, value }),
            changed: (events[0] as LayerEvent).changed,
            applied: events.flatMap(({ layer, contentHash }) =>
              contentHash === null ? [] : [{ layer, contentHash }],
            ),
            removed: events.flatMap(({ layer, contentHash }) => (contentHash === null ? [layer] : [])),
          }))
          .reverse();
      }),

    layersAt: (call, revision) =>
      transactions.read(call.deadline, async (handle) => {
        const events = await readLayerEvents(handle);
        const until =
          revision === undefined ? (events.at(-1)?.value ?? 0) - 1 : await numberOf(handle, revision);
        const standing = new Map<string, LayerEvent>();
        for (const event of events.filter(({ value, layer }) => value <= until && layer !== builtinLayer.id))
          if (event.contentHash === null) standing.delete(event.layer);
          else standing.set(event.layer, event);
        const layers = await readLayerContents(handle, [...standing.values()]);
        if (layers.length < standing.size || !layers.some(({ id }) => id === baselineId))
          throw new RolecallError(
            'invalid_revision',
            'no matrix stood then that could be applied again: `rolecall matrix history` lists those that did',
          );
        return orderLayers(
          layers.map((layer) => ({ ...layer, dependsOn: dependenciesWithBaseline(layer) })),
        ).ordered.map(({ id }) => layers.find((layer) => layer.id === id) as MatrixLayer);
      }),
  };
}

function dependenciesWithBaseline({ id, dependsOn }: MatrixLayer): readonly string[] {
  return id === baselineId ? dependsOn : [baselineId, ...dependsOn];
}

async function numberOf({ sql }: ReadHandle, text: string): Promise<number> {
  const parsed = parseRevision(text);
  if (!parsed.ok) throw new RolecallError('invalid_revision', parsed.why);
  if (!(await isReached(sql, parsed.value)))
    throw new RolecallError('invalid_revision', `revision ${text} has not come yet`);
  return parsed.value.value;
}
