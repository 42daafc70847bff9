import { RolecallError } from './errors.ts';

/** The origin of what people change through the API; every other origin is the id of a matrix layer. */
export const apiOrigin = 'api';

/** The origin of grants that a mapping gives for a token's claims. */
export const claimOrigin = 'claim';

/** One row of an edge or include: who says so, and whether it gives or, as a tombstone, withholds. */
export interface OriginRow {
  readonly origin: string;
  readonly withheld: boolean;
}

/** Whether an edge or include counts, by all rows of it: at least one gives and none withholds. */
export function stands(rows: readonly OriginRow[]): boolean {
  return rows.some((row) => !row.withheld) && !rows.some((row) => row.withheld);
}

/** The API's own row before and after a change; undefined where there is none. */
export interface ApiRowChange {
  readonly before: OriginRow | undefined;
  readonly after: OriginRow | undefined;
}

/**
 * What giving or taking away through the API does to the API's row among all rows of one edge or include; undefined if
 * nothing. Giving: the row gives. Taking away: the row is a tombstone while another origin gives, and otherwise is no
 * more. Throws `withheld_by_layer` when a layer withholds what is to be given.
 */
export function changeByApi(rows: readonly OriginRow[], give: boolean): ApiRowChange | undefined {
  const before = rows.find((row) => row.origin === apiOrigin);
  const others = rows.filter((row) => row.origin !== apiOrigin);
  const layer = others.find((row) => row.withheld);
  if (give && layer)
    throw new RolecallError('withheld_by_layer', `the matrix layer "${layer.origin}" withholds this`);
  const remains = give || others.some((row) => !row.withheld);
  const after = remains ? { origin: apiOrigin, withheld: !give } : undefined;
  return before?.withheld === after?.withheld ? undefined : { before, after };
}
