import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
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

/** Makes and reads cursors; they are sealed, show nothing, and belong to one list with one set of filters. */
export interface Cursors {
  /** The position to go on after, or null at the beginning. Throws `invalid_cursor` for anything not made here. */
  positionOf(list: string, request: PageRequest): string | null;
  /** Cuts the page out of rows that were read one further than the limit. */
  pageOf<T>(list: string, request: PageRequest, rows: readonly T[], positionOf: (row: T) => string): Page<T>;
  /** The cursor that goes on after a position. */
  cursorAt(list: string, position: string): string;
}

const ivLength = 12;
const tagLength = 16;

/** `list` in the calls above names the list and its filters: a cursor fits nothing else. */
export function openCursors(secret: string): Cursors {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'rolecall cursor', 32));

  function cursorAt(list: string, position: string): string {
    const iv = randomBytes(ivLength);
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(list));
    const hidden = Buffer.concat([cipher.update(position, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), hidden]).toString('base64url');
  }

  return {
    cursorAt,
    positionOf(list, { after }) {
      if (after === undefined) return null;
      const bytes = Buffer.from(after, 'base64url');
      // The decoder passes over what it does not know: one cursor would have any number of spellings.
      if (bytes.toString('base64url') !== after) throw invalidCursor();
      const iv = bytes.subarray(0, ivLength);
      const tag = bytes.subarray(ivLength, ivLength + tagLength);
      try {
        const cipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagLength });
        cipher.setAAD(Buffer.from(list)).setAuthTag(tag);
        return cipher.update(bytes.subarray(ivLength + tagLength), undefined, 'utf8') + cipher.final('utf8');
      } catch {
        throw invalidCursor();
      }
    },
    pageOf(list, { limit }, rows, positionOf) {
      const data = rows.slice(0, limit);
      const last = data.at(-1);
      if (rows.length <= limit || last === undefined) return { data, nextCursor: null };
      return { data, nextCursor: cursorAt(list, positionOf(last)) };
    },
  };
}

function invalidCursor(): RolecallError {
  return new RolecallError('invalid_cursor', '`after` is no cursor of this list with these filters');
}
