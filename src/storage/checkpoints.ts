import type { Checkpoint } from '../domain/checkpoints.ts';
import { RolecallError } from '../domain/errors.ts';
import { formatRevision, parseRevision } from '../domain/revisions.ts';
import type { Sql } from './database.ts';
import { revisionNumbered } from './read-models/journal-rows.ts';

/** Where the journal ends. Throws `migration_refused` where it does not end as the revision row says, or is empty. */
export async function readCheckpoint(sql: Sql): Promise<Checkpoint> {
  const [end] = await sql<{ revision: number; number: number; time: string; seal: string; whole: boolean }[]>`
    select j.revision::float8 as revision, number, encode(hmac, 'hex') as seal,
      to_char(j.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
      hmac = journal_head and j.revision = value as whole
    from rolecall.journal j cross join rolecall.revision order by j.revision desc, number desc limit 1`;
  if (!end?.whole)
    throw new RolecallError(
      'migration_refused',
      'the journal does not end as rolecall.revision says: run `rolecall journal verify`',
    );
  const { number, time, seal } = end;
  return { revision: formatRevision(await revisionNumbered(sql, end.revision)), number, time, seal };
}

/** What is missing or other in the journal than when the checkpoint was made; null if it holds. */
export async function faultAgainst(sql: Sql, checkpoint: Checkpoint): Promise<string | null> {
  const parsed = parseRevision(checkpoint.revision);
  const value = parsed.ok ? parsed.value.value : 0;
  const [row] = await sql<{ seal: string }[]>`
    select encode(hmac, 'hex') as seal from rolecall.journal
    where revision = ${value} and number = ${checkpoint.number}`;
  const place = `journal row ${value}.${checkpoint.number}`;
  if (!row)
    return `${place} is missing, which was there at ${checkpoint.time}: the end was cut off, or an older database was restored`;
  return row.seal === checkpoint.seal
    ? null
    : `${place} is another one than at ${checkpoint.time}: the journal was written anew, or is of another database`;
}
