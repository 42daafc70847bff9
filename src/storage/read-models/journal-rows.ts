import type { Json } from '../../domain/journal-entries.ts';
import type { Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';

/** A row of the journal as people read it. Whoever was erased is null where they would be named. */
export interface JournalRow {
  readonly epoch: string;
  readonly revision: number;
  readonly number: number;
  /** UTC with microseconds. */
  readonly time: string;
  readonly kind: string;
  readonly actorKind: 'user' | 'operator' | 'service';
  readonly actor: string | null;
  /** Whether somebody acted for the actor, which stays when they are erased. */
  readonly isActedFor: boolean;
  /** Who that was. */
  readonly through: string | null;
  /** The API key that was used, as long as it is there. */
  readonly key: string | null;
  /** The provider whose token was used, as long as the identity is linked. */
  readonly issuer: string | null;
  readonly requestId: string | null;
  readonly isAboutUser: boolean;
  readonly user: string | null;
  readonly before: Json;
  readonly after: Json;
  /** What is kept of the personal values. */
  readonly personal: Readonly<Record<string, string>>;
  readonly pks: Readonly<Record<JournalKey, number | null>>;
}

/** The columns by which the journal is indexed. */
export const journalKeys = ['user_pk', 'permission_pk', 'role_pk', 'actor_pk'] as const;
export type JournalKey = (typeof journalKeys)[number];

/** Rows about these, or, with null, all rows. */
export type Lane = { readonly key: JournalKey; readonly pks: readonly number[] } | null;

/** Where a row stands. */
export type JournalPosition = readonly [revision: number, number: number];

/** Rows before a position and after a revision, newest first: read from the lane's index, no further than the limit. */
export async function journalRowsBefore(
  sql: Sql,
  lane: Lane,
  [revision, number]: JournalPosition,
  after: number,
  limit: number,
): Promise<readonly JournalRow[]> {
  const wanted = sql`(revision, number) < (${revision}, ${number}) and revision > ${after}`;
  const newest = sql`order by revision desc, number desc limit ${limit}`;
  const source = lane
    ? sql`(select found.* from unnest(${lane.pks.map(String)}::text[]::bigint[]) as pk
        cross join lateral (select * from rolecall.journal where ${sql(lane.key)} = pk and ${wanted} ${newest}) as found
        ${newest})`
    : // Of a range between two revisions a plan for any position expects few rows; without it so many, that to sort them
      // seems cheaper than to read the index in its order.
      sql`(select * from rolecall.journal where ${wanted} and revision <= ${revision} ${newest})`;
  return sql<JournalRow[]>`
    select ${shownRow(sql)} from ${source} as j order by j.revision desc, j.number desc`;
}

/** Every row between two revisions, the first not included, oldest first, some in memory at a time. */
export function journalRowsFrom(sql: Sql, after: number, upTo: number): AsyncIterable<readonly JournalRow[]> {
  return sql<JournalRow[]>`
    select ${shownRow(sql)} from rolecall.journal j where j.revision > ${after} and j.revision <= ${upTo}
    order by j.revision, j.number`.cursor(1_000);
}

const shownRow = (sql: Sql) => sql`
  ${epochOf(sql, sql`j.revision`)} as epoch,
  j.revision::float8 as revision, j.number,
  to_char(j.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
  j.kind, j.actor_kind as "actorKind", ${nameOf(sql, 'actor_pk')} as actor,
  j.through_pk is not null as "isActedFor", ${nameOf(sql, 'through_pk')} as through,
  (select id from rolecall.api_keys where pk = j.credential_pk) as key,
  (select issuer from rolecall.identities where pk = -j.credential_pk) as issuer, j.request_id as "requestId",
  j.user_pk is not null as "isAboutUser", ${nameOf(sql, 'user_pk')} as user, j.before, j.after,
  coalesce((select json_object_agg(field, value) from rolecall.personal p
    where (p.revision, p.number) = (j.revision, j.number)), '{}') as personal,
  json_build_object('user_pk', j.user_pk, 'permission_pk', j.permission_pk, 'role_pk', j.role_pk,
    'actor_pk', j.actor_pk) as pks`;

/** The epoch in which a revision was made: its id, by the revision's number or a column of numbers. */
export const epochOf = (sql: Sql, revision: unknown) => sql`
  (select id from rolecall.epochs where began_at_revision < greatest(${revision as number}::bigint, 1)
    order by began_at_revision desc, began_at desc limit 1)`;

/** A revision by its number, with the epoch in which it was made. */
export async function revisionNumbered(sql: Sql, value: number): Promise<Revision> {
  const [row] = await sql<[{ epoch: string }]>`select ${epochOf(sql, value)} as epoch`;
  return { epoch: row.epoch, value };
}

const nameOf = (sql: Sql, column: 'actor_pk' | 'through_pk' | 'user_pk') => sql`coalesce(
  (select id from rolecall.users where users.pk = j.${sql(column)}),
  (select value from rolecall.personal p where p.user_pk = j.${sql(column)} and field = 'id' limit 1))`;

/** The internal keys of every role that ever had this key, one after the other. */
export async function rolesEverNamed(sql: Sql, key: string): Promise<readonly number[]> {
  const rows = await sql<{ pk: number }[]>`
    select pk::float8 as pk from rolecall.roles where key = ${key}
    union select role_pk::float8 from rolecall.journal
    where user_pk is null and kind = 'role_created' and after ->> 'role' = ${key} order by pk`;
  return rows.map(({ pk }) => pk);
}

/**
 * The last revision whose time is at or before a time, as PostgreSQL writes it; 0 before the first. Found by halving,
 * for times rise with revisions.
 */
export async function revisionAt(sql: Sql, time: string): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    with recursive halved (low, high) as (
      select 0::bigint, value from rolecall.revision
      union all
      select case when at.time <= ${time}::text::timestamptz then middle else low end,
        case when at.time <= ${time}::text::timestamptz then high else middle - 1 end
      from halved
      cross join lateral (select (low + high + 1) / 2 as middle) as between_them
      cross join lateral (select time from rolecall.journal where revision = middle and number = 1) as at
      where low < high
    )
    select low::float8 as revision from halved where low = high`;
  if (!row) throw new Error('the journal lacks a revision');
  return row.revision;
}
