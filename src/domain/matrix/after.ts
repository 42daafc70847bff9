import { Catalogue } from '../decision/catalogue.ts';
import type { LiveMatrix, MatrixChange } from './changes.ts';
import { type EdgeRow, type IncludeRow, rowText } from './layers.ts';

/** What roles mean by what is. */
export function catalogueOf({ permissions, includes, edges }: LiveMatrix): Catalogue {
  const registered = permissions.filter(({ retired }) => !retired).map(({ slug }) => slug);
  return new Catalogue({ registered, includes, edges });
}

/** What roles will mean once these changes are made. */
export function catalogueAfter(live: LiveMatrix, changes: readonly MatrixChange[]): Catalogue {
  const registered = new Set(live.permissions.filter(({ retired }) => !retired).map(({ slug }) => slug));
  const includes = new Map(live.includes.map((row) => [rowText(row), row]));
  const edges = new Map(live.edges.map((row) => [rowText(row), row]));
  for (const change of changes)
    if (change.kind === 'permission_declared') registered.add(change.permission.slug);
    else if (change.kind === 'permission_retired') registered.delete(change.slug);
    else if ('included' in change) putOrTake(includes, change, change.kind === 'include_added');
    else if ('permission' in change) putOrTake(edges, change, change.kind === 'edge_added');
  return new Catalogue({ registered, includes: [...includes.values()], edges: [...edges.values()] });
}

function putOrTake<Row extends EdgeRow | IncludeRow>(
  rows: Map<string, Row>,
  row: Row,
  isAdded: boolean,
): void {
  if (isAdded) rows.set(rowText(row), row);
  else rows.delete(rowText(row));
}
