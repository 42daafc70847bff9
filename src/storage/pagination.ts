import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { RolecallError } from '../domain/errors.ts';

/** One page of a list in a stable order: what comes after a position, so that concurrent writes shift nothing. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

export interface PageRequest {
  readonly limit: number;
  readonly after?: string | undefined;
}

/** Makes and reads cursors; they are signed and belong to one list with one set of filters. */
export interface Cursors {
  /** The position to go on after, or null at the beginning. Throws `invalid_cursor` for anything not made here. */
  positionOf(list: string, request: PageRequest): string | null;
  /** Cuts the page out of rows that were read one further than the limit. */
  pageOf<T>(list: string, request: PageRequest, rows: readonly T[], positionOf: (row: T) => string): Page<T>;
}

/** `list` in the calls above names the list and its filters: a cursor fits nothing else. */
export function openCursors(secret: string): Cursors {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'rolecall cursor', 32));
  const seal = (list: string, position: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify([list, position]))
      .digest()
      .subarray(0, 16);

  return {
    positionOf(list, { after }) {
      if (after === undefined) return null;
      const bytes = Buffer.from(after, 'base64url');
      const position = bytes.subarray(16).toString('utf8');
      const seen = bytes.subarray(0, 16);
      if (seen.length !== 16 || !timingSafeEqual(seen, seal(list, position)))
        throw new RolecallError('invalid_cursor', '`after` is no cursor of this list with these filters');
      return position;
    },
    pageOf(list, { limit }, rows, positionOf) {
      const data = rows.slice(0, limit);
      const last = data.at(-1);
      if (rows.length <= limit || last === undefined) return { data, nextCursor: null };
      const position = positionOf(last);
      return {
        data,
        nextCursor: Buffer.concat([seal(list, position), Buffer.from(position)]).toString('base64url'),
      };
    },
  };
}
