import type { Sql } from './database.ts';

/** An attempt at administration that was refused, `times` over within a moment. */
export interface Denial {
  /** How long ago it was. */
  readonly ageMs: number;
  readonly actorPk: number | null;
  readonly credentialPk: number | null;
  /** Whose credential it was, where its owner acted for the actor. */
  readonly throughPk: number | null;
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern. */
  readonly route: string;
  readonly code: string;
  /** Whom it was about. */
  readonly subject: string | null;
  /** What else the path named. */
  readonly target: string | null;
  readonly scope: string | null;
  readonly times: number;
}

export interface DenialRow extends Omit<Denial, 'ageMs' | 'actorPk' | 'credentialPk' | 'throughPk'> {
  readonly pk: number;
  readonly time: number;
  readonly actor: string | null;
  /** Whether somebody acted for the actor, which stays when they are erased. */
  readonly isActedFor: boolean;
  /** Who that was. */
  readonly through: string | null;
  readonly key: string | null;
}

/** The newest so many are kept. */
const mostDenials = 100_000;

/**
 * Adds some, and lets as many of the oldest go as are too many. Whom nobody knows, no user and no record, is not named: they may
 * have been erased since the attempt, and nobody could be erased who never was.
 */
export async function insertDenials(sql: Sql, denials: readonly Denial[]): Promise<void> {
  await sql`
    with added as (
      insert into rolecall.denials (time, actor_pk, credential_pk, through_pk, request_id, method, route, code,
        subject, target, scope, times)
      select clock_timestamp() - make_interval(secs => "ageMs" / 1000), "actorPk", "credentialPk", "throughPk", "requestId",
        method, route, code,
        case when exists (select from rolecall.users where id = subject)
          or exists (select from rolecall.personal where field = 'id' and value = subject) then subject end,
        target, scope, times
      from jsonb_to_recordset(${JSON.stringify(denials)}::text::jsonb) as row ("ageMs" float8, "actorPk" bigint,
        "credentialPk" bigint, "throughPk" bigint, "requestId" text, method text, route text, code text, subject text, target text,
        scope text, times int)
      returning pk
    )
    delete from rolecall.denials where pk <= (select max(pk) from added) - ${mostDenials}::int`;
}

/** Those before a position, newest first. */
export async function denialsBefore(
  sql: Sql,
  before: number | null,
  limit: number,
): Promise<readonly DenialRow[]> {
  return sql<DenialRow[]>`
    select pk::float8 as pk, (extract(epoch from time) * 1000)::float8 as time, request_id as "requestId", method, route,
      code, subject, target, scope, times,
      ${nameOf(sql, 'actor_pk')} as actor, through_pk is not null as "isActedFor", ${nameOf(sql, 'through_pk')} as through,
      (select id from rolecall.api_keys where api_keys.pk = credential_pk) as key
    from rolecall.denials where ${before}::bigint is null or pk < ${before}::bigint
    order by pk desc limit ${limit}`;
}

const nameOf = (sql: Sql, column: 'actor_pk' | 'through_pk') => sql`coalesce(
  (select id from rolecall.users where users.pk = denials.${sql(column)}),
  (select value from rolecall.personal where user_pk = denials.${sql(column)} and field = 'id' limit 1))`;
