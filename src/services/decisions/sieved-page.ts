import type { Cursors, Page, PageRequest } from '../../storage/pagination.ts';

/** A list of which some rows count. */
export interface Sieve<Row, Kept> {
  /** Names the list and its filters. */
  readonly list: string;
  /** Reads on after a position, null being the beginning. */
  read(position: string | null, limit: number): Promise<readonly Row[]>;
  positionOf(row: Row): string;
  /** What the page shows of a row, or undefined if the row does not count. */
  keep(row: Row): Kept | undefined;
}

/** More than the longest page, so that one read is enough where every row counts. */
const readAtOnce = 250;
const mostReads = 20;

/**
 * A page of the rows that count. Where 5,000 rows hold less than a page, it ends with them, and its cursor goes on from
 * there: no request takes longer the more rows there are that do not count.
 */
export async function pageOfThose<Row, Kept>(
  cursors: Cursors,
  page: PageRequest,
  { list, read, positionOf, keep }: Sieve<Row, Kept>,
): Promise<Page<Kept>> {
  const found: { readonly kept: Kept; readonly position: string }[] = [];
  let position = cursors.positionOf(list, page);
  for (let reads = 1; ; reads += 1) {
    const rows = await read(position, readAtOnce);
    for (const row of rows) {
      const kept = keep(row);
      if (kept !== undefined) found.push({ kept, position: positionOf(row) });
    }
    const last = rows.at(-1);
    if (found.length > page.limit || rows.length < readAtOnce || last === undefined) {
      const { data, nextCursor } = cursors.pageOf(list, page, found, (one) => one.position);
      return { data: data.map((one) => one.kept), nextCursor };
    }
    position = positionOf(last);
    if (reads === mostReads)
      return { data: found.map((one) => one.kept), nextCursor: cursors.cursorAt(list, position) };
  }
}
