import { digestPersonal, type SealedContent, sealEntry } from '../domain/journal-entries.ts';
import type { Sql } from './database.ts';

/** Whether the newest row was sealed with this key; true when there is none. A chain sealed with two keys proves nothing. */
export async function isSealedWith(sql: Sql, key: string): Promise<boolean> {
  const [newest] = await sql<(SealedContent & { hmac: Buffer; previous: Buffer })[]>`
    select ${sealedContent(sql)}, hmac,
      coalesce(lead(hmac) over (order by revision desc, number desc), decode(repeat('00', 32), 'hex')) as previous
    from (select * from rolecall.journal order by revision desc, number desc limit 2) as j
    order by revision desc, number desc limit 1`;
  if (!newest) return true;
  const { hmac, previous, ...content } = newest;
  return sealEntry(key, previous, content).equals(hmac);
}

/** A row of the chain, and its seal. */
export interface ChainPlace {
  readonly revision: number;
  readonly number: number;
  readonly head: Buffer;
}

export const chainBeginning: ChainPlace = { revision: 0, number: 0, head: Buffer.alloc(32) };

/** How far the chain is whole, and where it is not. */
export interface ChainState {
  /** Rows that were read, the broken one included. */
  readonly rows: number;
  /** What is wrong at the first row that is; null if every row and every personal value still kept is as it was sealed. */
  readonly broken: string | null;
  /** The first row that is not as it was sealed; null where none is, or where it is not a row. */
  readonly brokenAt: { readonly revision: number; readonly number: number } | null;
  /** The last row that is whole. */
  readonly place: ChainPlace;
  /** Whether the chain was followed to its end. */
  readonly ended: boolean;
}

export interface ChainPart {
  readonly from?: ChainPlace;
  /** After so many rows it is left to another call. */
  readonly most?: number;
  /** Told from time to time how many rows were read. */
  noteRows?(rows: number): void;
}

const rowsAtATime = 1_000;

/**
 * Follows the chain from its beginning, or from a place that was reached before, to the revision row, some rows in memory
 * at a time. Needs a transaction of its own on one snapshot: a change between two reads would look like a broken chain.
 */
export async function verifyChain(sql: Sql, key: string, part: ChainPart = {}): Promise<ChainState> {
  const { from = chainBeginning, most = null, noteRows } = part;
  let place = from;
  let rows = 0;
  const state = (broken: string | null, brokenAt: ChainState['brokenAt'], ended = false): ChainState => ({
    rows,
    broken,
    brokenAt,
    place,
    ended,
  });
  const journal = sql<Row[]>`
    select ${sealedContent(sql)}, hmac, ${keptValues(sql)} as kept, ${wasErased(sql)} as "isErased"
    from rolecall.journal j where (j.revision, j.number) > (${from.revision}, ${from.number})
    order by j.revision, j.number limit ${most}`.cursor(rowsAtATime);
  for await (const batch of journal) {
    for (const row of batch) {
      rows += 1;
      const fault = faultOf(key, place, row);
      const { revision, number, hmac } = row;
      if (fault !== null) return state(fault, { revision, number });
      place = { revision, number, head: hmac };
    }
    noteRows?.(rows);
  }
  if (rows === most) return state(null, null);
  const [end] = await sql<{ value: number; journalHead: Buffer }[]>`
    select value::float8 as value, journal_head as "journalHead" from rolecall.revision`;
  const ends = end?.value === place.revision && end.journalHead.equals(place.head);
  return ends
    ? state(null, null, true)
    : state(`the journal ends at revision ${place.revision}, and rolecall.revision says otherwise`, null);
}

interface Row extends SealedContent {
  readonly hmac: Buffer;
  readonly kept: readonly Kept[] | null;
  /** Whether its personal values may be gone. */
  readonly isErased: boolean;
}

interface Kept {
  readonly field: string;
  readonly salt: string;
  readonly value: string;
  readonly userPk: number | null;
}

/** What is wrong with a row that comes after a place; null if nothing is. */
function faultOf(key: string, before: ChainPlace, { hmac, kept, isErased, ...content }: Row): string | null {
  const { revision, number, digests, userPk } = content;
  const place = `journal row ${revision}.${number}`;
  const follows =
    revision === before.revision
      ? number === before.number + 1
      : revision === before.revision + 1 && number === 1;
  if (!follows) return `${place} does not follow ${before.revision}.${before.number}: rows are missing`;
  if (!sealEntry(key, before.head, content).equals(hmac))
    return `${place} is not as it was sealed, or was sealed with another ROLECALL_JOURNAL_KEY`;
  const values = kept ?? [];
  const altered = values.find(
    (one) =>
      one.userPk !== userPk || digests[one.field] !== digestPersonal(Buffer.from(one.salt, 'hex'), one.value),
  );
  if (altered) return `the personal value ${altered.field} of ${place} is not as it was sealed`;
  const gone = Object.keys(digests).find((field) => !values.some((one) => one.field === field));
  return gone === undefined || isErased
    ? null
    : `the personal value ${gone} of ${place} is gone, though nobody was erased`;
}

const keptValues = (sql: Sql) => sql`
  (select json_agg(json_build_object('field', field, 'salt', encode(salt, 'hex'), 'value', value, 'userPk', user_pk))
    from rolecall.personal p where (p.revision, p.number) = (j.revision, j.number))`;

/**
 * Asked only where values are gone: whether the row is of a time whose values were purged, or about somebody who was
 * erased. Nothing is ever recorded of somebody after that.
 */
const wasErased = (sql: Sql) => sql`
  case when (select count(*) from jsonb_object_keys(digests)) > (select count(*) from rolecall.personal p
      where (p.revision, p.number) = (j.revision, j.number))
    then j.revision <= coalesce((select max((after ->> 'through')::bigint) from rolecall.journal
        where kind = 'personal_purged'), 0)
      or (select kind from rolecall.journal e where e.user_pk = j.user_pk order by revision desc, number desc limit 1)
      = 'user_erased' else false end`;

/** Of rows called `j`. A database that is a step behind has no `through_pk`, and its chain can be followed all the same. */
const sealedContent = (sql: Sql) => sql`
  revision::float8 as revision, number, kind, actor_kind as "actorKind", actor_pk::float8 as "actorPk",
  to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
  credential_pk::float8 as "credentialPk", (to_jsonb(j) ->> 'through_pk')::float8 as "throughPk", request_id as "requestId", user_pk::float8 as "userPk",
  role_pk::float8 as "rolePk", permission_pk::float8 as "permissionPk", before, after, digests`;
