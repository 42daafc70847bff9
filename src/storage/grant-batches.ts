import type { Terms } from '../domain/grants.ts';
import type { Instant, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { givenMembers } from './granters.ts';
import type { GrantPlace, GrantRow } from './grants.ts';

/** A grant of origin `api` that stands. */
export type StandingGrant = Omit<GrantRow, 'user' | 'userPk'>;

/** Who and what one row of a batch is about, as far as they exist, and the grant of origin `api` there. */
export interface BatchPlace {
  readonly userPk: number | null;
  readonly rolePk: number | null;
  readonly grant: StandingGrant | null;
}

/**
 * Finds all of them in one statement, in the order in which they are named. Each is looked up by itself, by indexes:
 * joined, whole tables were read wherever the planner took them for small.
 */
export async function findPlaces(
  { sql }: ReadHandle,
  named: readonly { readonly user: UserId; readonly role: RoleKey; readonly scope: Scope }[],
): Promise<readonly BatchPlace[]> {
  const wanted = named.map(({ user, role, scope }) => ({ id: user, role, scope }));
  return sql<BatchPlace[]>`
    select wanted.user_pk::float8 as "userPk", wanted.role_pk::float8 as "rolePk",
      (select json_build_object('pk', held.pk, 'rolePk', held.role_pk, 'role', wanted.role, 'origin', held.origin,
          ${givenMembers(sql)})
        from rolecall.user_roles as held where held.user_pk = wanted.user_pk and held.role_pk = wanted.role_pk
          and held.scope = wanted.scope and held.origin = 'api') as grant
    from (
      select role, scope, place, (select pk from rolecall.users where users.id = named.id) as user_pk,
        (select pk from rolecall.roles where key = role) as role_pk
      from rows from (jsonb_to_recordset(${JSON.stringify(wanted)}::text::jsonb) as (id text, role text, scope text))
        with ordinality as named (id, role, scope, place) offset 0
    ) as wanted
    order by place`;
}

/** A grant to be stored. */
export interface GivenGrant extends GrantPlace, Terms {
  readonly grantedBy: number | null;
  /** The time of the transaction if null. */
  readonly grantedAt: Instant | null;
}

/** Makes the grants at these places, no two of them alike, or gives those that are there new terms. */
export function putGrants({ sql, sendAlong }: ChangeHandle, given: readonly GivenGrant[]): void {
  sendAlong(sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope, starts_at, expires_at, reason, granted_by, granted_at)
    select "userPk", "rolePk", scope, to_timestamp("startsAt" / 1000), to_timestamp("expiresAt" / 1000), reason,
      "grantedBy", coalesce(to_timestamp("grantedAt" / 1000), now())
    from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb) as row ("userPk" bigint, "rolePk" bigint,
      scope text, "startsAt" float8, "expiresAt" float8, reason text, "grantedBy" bigint, "grantedAt" float8)
    on conflict (user_pk, role_pk, scope, origin) do update set starts_at = excluded.starts_at,
      expires_at = excluded.expires_at, reason = excluded.reason, granted_by = excluded.granted_by,
      granted_at = excluded.granted_at`);
}

export function deleteGrants({ sql, sendAlong }: ChangeHandle, pks: readonly number[]): void {
  sendAlong(sql`delete from rolecall.user_roles where pk = any(${pks.map(String)}::text[]::bigint[])`);
}

/** Lets this transaction's statements take as long as the rest of it may. */
export async function allowMilliseconds({ sql }: ReadHandle, limit: number): Promise<void> {
  await sql`select set_config('statement_timeout', ${String(limit)}, true),
    set_config('idle_in_transaction_session_timeout', ${String(limit)}, true)`;
}
