import { randomBytes } from 'node:crypto';
import {
  type Actor,
  changesCatalogue,
  digestPersonal,
  type JournalEntry,
  type SealedContent,
  sealEntry,
} from '../domain/journal-entries.ts';
import { nextMicrosecond } from '../domain/moments.ts';
import type { Sql } from './database.ts';
import { type Deadline, millisecondsUntil } from './deadline.ts';
import { incarnation } from './epochs.ts';

/** The channel that wakes other replicas. A wake-up may be lost: nothing is correct because of it. */
export const revisionChannel = 'rolecall_revision';

/** The revision row, locked by this transaction until it ends. */
export interface LockedRevision {
  readonly value: number;
  readonly epoch: string;
  /** The time this transaction's revision would have: UTC, strictly after the last one's. */
  readonly time: string;
  readonly journalHead: Buffer;
  /** False when the present epoch was written elsewhere: before anything else, a new one must begin. */
  readonly isSameIncarnation: boolean;
}

/**
 * Takes the revision lock: the first statement of every write. All that the transaction reads after it is current, and
 * revisions commit in the order of their numbers. The time is the primary's clock read after the lock.
 *
 * From version 17 on the server ends the transaction at the deadline, if there is one: a client that goes silent between preparing a
 * statement and running it is neither idle nor in a statement. Before, whoever waited in vain ends its session.
 */
export async function lockRevision(sql: Sql, deadline?: Deadline): Promise<LockedRevision> {
  const limit = deadline === undefined ? null : String(millisecondsUntil(deadline));
  // Executed here, so that it is sent before any savepoint. Rolling back to a savepoint would release a lock
  // that was taken after it. It would also undo the setting of the limit, but not the limit, which would then
  // end whatever transaction the session is in by then.
  const [row] = await sql<(Omit<LockedRevision, 'value'> & { value: string })[]>`
    with locked as materialized (select value, epoch, journal_head, time from rolecall.revision for update)
    select value, epoch, journal_head as "journalHead",
      to_char(greatest(clock_timestamp(), time + interval '1 microsecond') at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
      (select incarnation from rolecall.epochs where id = epoch) = ${incarnation(sql)} as "isSameIncarnation",
      case when ${limit}::text is not null and current_setting('server_version_num')::int >= 170000
        then set_config('transaction_timeout', ${limit}, true) end as limit
    from locked`.execute();
  if (!row) throw new Error('the table rolecall.revision has lost its row');
  return { ...row, value: Number(row.value) };
}

/** What becomes one revision, if there is anything in it. */
export interface JournalWrite {
  readonly actor: Actor;
  readonly requestId: string | null;
  readonly entries: readonly JournalEntry[];
}

/**
 * Writes each as the next revision of the locked row, each entry sealed to the one before, and wakes the replicas. Revisions
 * written at once have times that follow each other by a microsecond.
 */
export function appendJournal(
  sql: Sql,
  key: string,
  locked: LockedRevision,
  writes: readonly JournalWrite[],
): PromiseLike<unknown> {
  let { value: revision, journalHead: head, time } = locked;
  const personal: Record<string, unknown>[] = [];
  const rows = writes.flatMap(({ actor, requestId, entries }) => {
    if (entries.length === 0) return [];
    if (revision > locked.value) time = nextMicrosecond(time);
    revision += 1;
    return entries.map((entry, index) => {
      const number = index + 1;
      const digests: Record<string, string> = {};
      for (const [field, value] of Object.entries(entry.personal ?? {})) {
        const salt = randomBytes(16);
        digests[field] = digestPersonal(salt, value);
        const userPk = entry.userPk ?? null;
        personal.push({ revision, number, field, user_pk: userPk, salt: salt.toString('hex'), value });
      }
      const content: SealedContent = {
        revision,
        number,
        time,
        kind: entry.kind,
        actorKind: actor.kind,
        actorPk: actor.kind === 'user' ? actor.userPk : null,
        credentialPk: actor.kind === 'user' ? actor.credentialPk : null,
        throughPk: actor.kind === 'user' ? actor.throughPk : null,
        requestId,
        userPk: entry.userPk ?? null,
        rolePk: entry.rolePk ?? null,
        permissionPk: entry.permissionPk ?? null,
        before: entry.before ?? null,
        after: entry.after ?? null,
        digests,
      };
      head = sealEntry(key, head, content);
      return { ...content, hmac: head.toString('hex') };
    });
  });
  // A migration seals its rows before the step that adds this column, and after the way down that takes it.
  const acting = rows.some(({ throughPk }) => throughPk !== null);
  const movesCatalogue = writes.some(({ entries }) => entries.some(({ kind }) => changesCatalogue(kind)));
  return sql`
    with taken as (
      update rolecall.revision set
        value = ${revision}, time = ${time}::text::timestamptz, journal_head = ${head},
        catalogue_value = case when ${movesCatalogue} then ${revision}::bigint else catalogue_value end
    ), sealed as (
      insert into rolecall.journal (revision, number, time, kind, actor_kind, actor_pk, credential_pk, request_id,
        user_pk, role_pk, permission_pk, before, after, digests, hmac${acting ? sql`, through_pk` : sql``})
      select revision, number, time, kind, "actorKind", "actorPk", "credentialPk", "requestId",
        "userPk", "rolePk", "permissionPk", nullif(before, 'null'), nullif(after, 'null'), digests, decode(hmac, 'hex')
        ${acting ? sql`, "throughPk"` : sql``}
      from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as row (revision bigint, number int,
        time timestamptz, kind text, "actorKind" text, "actorPk" bigint, "credentialPk" bigint, "throughPk" bigint, "requestId" text,
        "userPk" bigint, "rolePk" bigint, "permissionPk" bigint, before jsonb, after jsonb, digests jsonb, hmac text)
    ) ${personal.length > 0 ? keptIn(sql, personal) : sql``}
    select pg_notify(${revisionChannel}, ${`${locked.epoch}-${revision}`})`;
}

const keptIn = (sql: Sql, personal: readonly Record<string, unknown>[]) => sql`
  , kept as (
    insert into rolecall.personal (revision, number, field, user_pk, salt, value)
    select revision, number, field, user_pk, decode(salt, 'hex'), value
    from jsonb_to_recordset(${JSON.stringify(personal)}::text::jsonb)
      as row (revision bigint, number int, field text, user_pk bigint, salt text, value text)
  )`;
