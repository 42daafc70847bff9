/** What the journal must say after a random history, and that its chain holds. */
import type postgres from 'postgres';
import { digestPersonal, type SealedContent, sealEntry } from '../../src/domain/journal-entries.ts';
import { same } from './history-compare.ts';
import { testJournalKey } from './runtime.ts';

/** A write that changed something, as its answer told. */
export interface Recorded {
  readonly revision: number;
  readonly requestId: string;
  /** The kinds of its entries, sorted. */
  readonly entries: readonly string[];
}

interface Row extends SealedContent {
  readonly hmac: Buffer;
  readonly personal: readonly { readonly field: string; readonly salt: string; readonly value: string }[];
}

/** Every change after the revision `from` has its entries under one revision, and each is sealed to the one before. */
export async function checkJournal(
  sql: postgres.Sql,
  from: number,
  changes: readonly Recorded[],
): Promise<void> {
  const rows = await readRows(sql, from);
  same('the journal', recordedIn(rows.filter((row) => row.revision > from)), changes);
  same(
    'who the journal says did it',
    [...new Set(rows.slice(1).map((row) => row.actorKind))],
    rows.length > 1 ? ['user'] : [],
  );
  const [before, ...sealed] = rows;
  let previous = before?.hmac ?? Buffer.alloc(32);
  let time = before?.time ?? '';
  for (const { hmac, personal, ...content } of sealed) {
    const place = `the journal's row ${content.revision}.${content.number}`;
    same(
      `the seal of ${place}`,
      hmac.toString('hex'),
      sealEntry(testJournalKey, previous, content).toString('hex'),
    );
    const digests = personal.map(({ field, salt, value }) => [
      field,
      digestPersonal(Buffer.from(salt, 'hex'), value),
    ]);
    same(`the personal values of ${place}`, content.digests, Object.fromEntries(digests));
    same(
      `the time of ${place} is later than the time before`,
      content.number === 1 ? content.time > time : content.time === time,
      true,
    );
    previous = hmac;
    time = content.time;
  }
  const [head] = await sql<{ value: number; hmac: Buffer }[]>`
    select value::int as value, journal_head as hmac from rolecall.revision`;
  same(
    'the revision row',
    { value: head?.value, seal: head?.hmac.toString('hex') },
    { value: changes.at(-1)?.revision ?? from, seal: previous.toString('hex') },
  );
}

/** The last row up to a revision and all after it. */
async function readRows(sql: postgres.Sql, from: number): Promise<readonly Row[]> {
  return sql<Row[]>`
    select revision::int, number, kind, actor_kind as "actorKind", actor_pk::int as "actorPk",
      credential_pk::int as "credentialPk", through_pk::int as "throughPk", request_id as "requestId", user_pk::int as "userPk",
      role_pk::int as "rolePk", permission_pk::int as "permissionPk", before, after, digests, hmac,
      to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
      array(select json_build_object('field', field, 'salt', encode(salt, 'hex'), 'value', value)
        from rolecall.personal where personal.revision = journal.revision and personal.number = journal.number
      ) as personal
    from rolecall.journal
    where (revision, number) >= (
      select revision, number from rolecall.journal where revision <= ${from} order by revision desc, number desc limit 1)
    order by revision, number`;
}

function recordedIn(rows: readonly Row[]): Recorded[] {
  const revisions = [...new Set(rows.map((row) => row.revision))];
  return revisions.map((revision) => {
    const own = rows.filter((row) => row.revision === revision);
    return { revision, requestId: own[0]?.requestId ?? '', entries: own.map((row) => row.kind).sort() };
  });
}
