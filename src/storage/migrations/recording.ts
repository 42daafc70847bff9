import { RolecallError } from '../../domain/errors.ts';
import { type Json, sealEntry } from '../../domain/journal-entries.ts';
import { isSealedWith } from '../chain.ts';
import type { Sql } from '../database.ts';
import { insertEpoch } from '../epochs.ts';
import { appendJournal, type LockedRevision, lockRevision, revisionChannel } from '../journal.ts';

/** Puts what was done into the journal as the next revision, once. Does nothing where nobody has written yet. */
export type Recorder = (done: { readonly [member: string]: Json }) => Promise<void>;

const nothingToRecord: Recorder = async () => {};

/**
 * Takes the revision lock, before any table, as every write does. Throws `migration_refused` when the journal is in use
 * and the key that seals it is missing or another one. The row is written with the columns of the first step only,
 * because the steps that added others may not have run yet, or not any more.
 */
export async function openRecorder(sql: Sql, journalKey: string | undefined): Promise<Recorder> {
  const [there] = await sql<{ found: boolean }[]>`
    select to_regclass('rolecall.revision') is not null and to_regclass('rolecall.journal') is not null as found`;
  if (!there?.found) return nothingToRecord;
  const locked = await lockRevision(sql);
  if (locked.value === 0) return nothingToRecord;
  if (journalKey === undefined)
    throw new RolecallError(
      'migration_refused',
      'ROLECALL_JOURNAL_KEY is not set: this database is in use, and every step is sealed into its journal',
    );
  if (!(await isSealedWith(sql, journalKey)))
    throw new RolecallError(
      'migration_refused',
      'the journal was sealed with another ROLECALL_JOURNAL_KEY: use that one',
    );
  return async (after) => {
    const { time, journalHead, epoch, value } = locked.isSameIncarnation
      ? locked
      : await beginEpoch(sql, journalKey, locked);
    const revision = value + 1;
    const nobody = {
      ...{ actorPk: null, credentialPk: null, throughPk: null },
      ...{ userPk: null, rolePk: null, permissionPk: null },
    };
    const what = {
      kind: 'schema_changed',
      actorKind: 'operator',
      requestId: null,
      before: null,
      after,
      digests: {},
    };
    const head = sealEntry(journalKey, journalHead, { revision, number: 1, time, ...nobody, ...what });
    await sql`
      with taken as (
        update rolecall.revision
        set value = ${revision}, catalogue_value = ${revision}, time = ${time}::text::timestamptz, journal_head = ${head}
      ), sealed as (
        insert into rolecall.journal (revision, number, time, kind, actor_kind, after, digests, hmac)
        values (${revision}, 1, ${time}::text::timestamptz, ${what.kind}, ${what.actorKind},
          ${JSON.stringify(after)}::text::jsonb, '{}', ${head})
      )
      select pg_notify(${revisionChannel}, ${`${epoch}-${revision}`})`;
  };
}

/**
 * A restored database goes on with an epoch of its own, whatever is written first: the revision that this would be may
 * have been another one in the history that was lost.
 */
async function beginEpoch(sql: Sql, journalKey: string, locked: LockedRevision): Promise<LockedRevision> {
  const begun = await insertEpoch(sql, locked.value);
  const entry = { kind: 'epoch_began', before: { epoch: locked.epoch }, after: { epoch: begun } } as const;
  const write = { actor: { kind: 'operator' }, requestId: null, entries: [entry] } as const;
  await appendJournal(sql, journalKey, { ...locked, epoch: begun }, [write]);
  return lockRevision(sql);
}
