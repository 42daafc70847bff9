import { stands } from '../origins.ts';
import type { Preference } from './changes.ts';
import { cellText, type EdgeRow, type IncludeRow, isByApi, rowText } from './layers.ts';

type Row = EdgeRow | IncludeRow;

/** The rows of edges, or of includes, as the layers say, as they said when last applied, and as they are. */
export interface Versions<R extends Row> {
  readonly declared: readonly R[];
  readonly applied: readonly R[];
  readonly live: readonly R[];
}

/** An edge or include that counts other than the layers say. */
export interface CellDeviation<R extends Row> {
  readonly row: R;
  readonly live: 'given' | 'withheld';
  readonly layers: readonly string[];
}

export interface CellsComparison<R extends Row> {
  readonly removed: readonly R[];
  readonly added: readonly R[];
  readonly kept: readonly CellDeviation<R>[];
  readonly conflicts: readonly CellDeviation<R>[];
}

/**
 * Three-way, cell by cell: the layers' own rows become what the layers say; the API's row stays, for it is somebody's
 * decision, unless `isMoot` says that nobody may hold on to it. Where a layer newly says the opposite of what somebody
 * decided, that is a conflict, and `accept` says which side wins; without it nothing changes there.
 */
export function compareCells<R extends Row>(
  { declared, applied, live }: Versions<R>,
  isMoot: (row: R) => boolean,
  accept: Preference | undefined,
): CellsComparison<R> {
  const cells = new Map<string, { declared: R[]; applied: R[]; live: R[] }>();
  for (const [version, rows] of Object.entries({ declared, applied, live }))
    for (const row of rows) {
      const cell = cells.get(cellText(row)) ?? { declared: [], applied: [], live: [] };
      cells.set(cellText(row), cell);
      cell[version as keyof Versions<R>].push(row);
    }
  const removed: R[] = [];
  const added: R[] = [];
  const kept: CellDeviation<R>[] = [];
  const conflicts: CellDeviation<R>[] = [];
  for (const [, cell] of [...cells].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { rows, conflict } = settle(cell, isMoot, accept);
    removed.push(...absent(cell.live, rows));
    added.push(...absent(rows, cell.live));
    if (conflict) conflicts.push(conflict);
    else if (stands(rows) !== stands(cell.declared)) kept.push(deviation(cell, rows));
  }
  return { removed, added, kept, conflicts };
}

/** The rows that one cell is to have, and whether somebody must choose. */
function settle<R extends Row>(
  cell: Versions<R>,
  isMoot: (row: R) => boolean,
  accept: Preference | undefined,
): { readonly rows: readonly R[]; readonly conflict?: CellDeviation<R> } {
  const { declared, applied, live } = cell;
  const api = live.find((row) => isByApi(row) && !isMoot(row));
  if (api === undefined) return { rows: declared };
  if (api.withheld) {
    const rows = [...declared, api];
    if (!stands(declared) || stands(applied)) return { rows };
    return { rows: accept === 'matrix' ? declared : rows, conflict: deviation(cell, rows) };
  }
  if (!stands(live) || !declared.some((row) => row.withheld)) return { rows: [...declared, api] };
  // Somebody gives what a layer withholds, and it counts: the layer's row was not there, or not yet.
  const rows = [...declared.filter((row) => !row.withheld), api];
  const said = new Set(applied.map(rowText));
  if (declared.every((row) => !row.withheld || said.has(rowText(row)))) return { rows };
  return {
    rows: accept === 'matrix' ? [...declared, api] : rows,
    conflict: deviation(cell, rows),
  };
}

function deviation<R extends Row>({ declared }: Versions<R>, rows: readonly R[]): CellDeviation<R> {
  const given = stands(rows);
  const layers = declared.filter((row) => row.withheld === given).map((row) => row.origin);
  return { row: rows[0] as R, live: given ? 'given' : 'withheld', layers: layers.sort() };
}

/** The rows of one list that another lacks, in a fixed order. */
function absent<R extends Row>(rows: readonly R[], others: readonly R[]): R[] {
  const present = new Set(others.map(rowText));
  return rows.filter((row) => !present.has(rowText(row))).sort((a, b) => (rowText(a) < rowText(b) ? -1 : 1));
}
