import type { Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import type { GrantPlace } from './grants.ts';

/** A grant of origin `api` that stands. */
export interface StandingGrant extends Terms {
  readonly pk: number;
  readonly rolePk: number;
  readonly role: RoleKey;
  readonly scope: Scope;
  readonly origin: string;
}

/** Who and what one row of a batch is about, as far as they exist, and the grant of origin `api` there. */
export interface BatchPlace {
  readonly userPk: number | null;
  readonly rolePk: number | null;
  readonly grant: StandingGrant | null;
}

/** Finds all of them in one statement, in the order in which they are named. */
export async function findPlaces(
  { sql }: ReadHandle,
  named: readonly { readonly user: UserId; readonly role: RoleKey; readonly scope: Scope }[],
): Promise<readonly BatchPlace[]> {
  const wanted = named.map(({ user, role, scope }) => ({ id: user, role, scope }));
  return sql<BatchPlace[]>`
    select users.pk::float8 as "userPk", roles.pk::float8 as "rolePk",
      case when held.pk is not null then json_build_object('pk', held.pk, 'rolePk', held.role_pk, 'role', wanted.role,
        'scope', wanted.scope, 'origin', held.origin, 'reason', held.reason,
        'startsAt', extract(epoch from held.starts_at) * 1000,
        'expiresAt', extract(epoch from held.expires_at) * 1000) end as grant
    from rows from (jsonb_to_recordset(${JSON.stringify(wanted)}::text::jsonb) as (id text, role text, scope text))
      with ordinality as wanted (id, role, scope, place)
    left join rolecall.users on users.id = wanted.id
    left join rolecall.roles on roles.key = wanted.role
    left join rolecall.user_roles as held on held.user_pk = users.pk and held.role_pk = roles.pk
      and held.scope = wanted.scope and held.origin = 'api'
    order by place`;
}

/** Makes the grants at these places, no two of them alike, or gives those that are there new terms. */
export async function putGrants(
  { sql }: ChangeHandle,
  given: readonly (GrantPlace & Terms)[],
  grantedBy: number | null,
): Promise<void> {
  await sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope, starts_at, expires_at, reason, granted_by)
    select "userPk", "rolePk", scope, to_timestamp("startsAt" / 1000), to_timestamp("expiresAt" / 1000), reason,
      ${grantedBy}
    from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb) as row ("userPk" bigint, "rolePk" bigint,
      scope text, "startsAt" float8, "expiresAt" float8, reason text)
    on conflict (user_pk, role_pk, scope, origin) do update set starts_at = excluded.starts_at,
      expires_at = excluded.expires_at, reason = excluded.reason, granted_by = excluded.granted_by, granted_at = now()`;
}

export async function deleteGrants({ sql }: ChangeHandle, pks: readonly number[]): Promise<void> {
  await sql`
    delete from rolecall.user_roles
    where pk in (select value::bigint from jsonb_array_elements_text(${JSON.stringify(pks)}::text::jsonb))`;
}

/** Lets this transaction's statements take as long as the rest of it may. */
export async function allowMilliseconds({ sql }: ReadHandle, limit: number): Promise<void> {
  await sql`select set_config('statement_timeout', ${String(limit)}, true),
    set_config('idle_in_transaction_session_timeout', ${String(limit)}, true)`;
}
