import type { Instant, RoleKey, Scope } from '../domain/ids.ts';
import { claimOrigin } from '../domain/origins.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { type GrantRow, grantsOfOrigin } from './grants.ts';

/** What of an identity's tokens was applied last. */
export interface AppliedClaims {
  readonly userPk: number;
  /** The `iat` of that token; null if there was none. */
  readonly issuedAt: Instant | null;
  /** Whether it met any mapping. */
  readonly met: boolean;
}

/** Undefined if the identity was unlinked. */
export async function findAppliedClaims(
  { sql }: ReadHandle,
  identityPk: number,
): Promise<AppliedClaims | undefined> {
  const [row] = await sql<AppliedClaims[]>`
    select user_pk::float8 as "userPk", (extract(epoch from claims_issued_at) * 1000)::float8 as "issuedAt",
      exists (select from rolecall.identity_mappings where identity_pk = identities.pk) as met
    from rolecall.identities where pk = ${identityPk}`;
  return row;
}

/** Notes which mappings the newest token of an identity met. */
export async function noteClaims(
  { sql }: ChangeHandle,
  identityPk: number,
  issuedAt: Instant,
  mappingPks: readonly number[],
): Promise<void> {
  await sql`
    update rolecall.identities set claims_issued_at = to_timestamp(${issuedAt}::float8 / 1000) where pk = ${identityPk}`;
  await sql`
    delete from rolecall.identity_mappings
    where identity_pk = ${identityPk} and mapping_pk <> all(${mappingPks.map(String)}::text[]::bigint[])`;
  await sql`
    insert into rolecall.identity_mappings (identity_pk, mapping_pk)
    select ${identityPk}, pk from unnest(${mappingPks.map(String)}::text[]::bigint[]) as pk on conflict do nothing`;
}

/** A role that the newest tokens of a user's identities give together, until when. */
export interface ClaimedRole {
  readonly userPk: number;
  readonly rolePk: number;
  readonly role: RoleKey;
  readonly scope: Scope;
  readonly until: Instant;
}

/** What the claims of these users give now, each token's for `ageMs` from its `iat` on. */
export async function claimedRoles(
  { sql }: ReadHandle,
  userPks: readonly number[],
  ageMs: number,
): Promise<readonly ClaimedRole[]> {
  return sql<ClaimedRole[]>`
    select user_pk::float8 as "userPk", role_pk::float8 as "rolePk", key as role, scope,
      (extract(epoch from max(claims_issued_at)) * 1000 + ${ageMs})::float8 as until
    from rolecall.identities
    join rolecall.identity_mappings on identity_pk = identities.pk
    join rolecall.mappings on mappings.pk = mapping_pk
    join rolecall.roles on roles.pk = role_pk
    where user_pk = any(${userPks.map(String)}::text[]::bigint[])
    group by user_pk, role_pk, key, scope
    having extract(epoch from max(claims_issued_at)) * 1000 + ${ageMs} > extract(epoch from clock_timestamp()) * 1000`;
}

/** The grants that claims gave these users, lapsed ones too. */
export function claimGrantsOf(handle: ReadHandle, userPks: readonly number[]): Promise<readonly GrantRow[]> {
  return grantsOfOrigin(handle, claimOrigin, userPks);
}

/** Gives a claimed role, or gives the grant that is there its new end. */
export async function putClaimGrant({ sql }: ChangeHandle, claimed: ClaimedRole): Promise<void> {
  const { userPk, rolePk, scope, until } = claimed;
  await sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope, origin, expires_at)
    values (${userPk}, ${rolePk}, ${scope}, ${claimOrigin}, to_timestamp(${until}::float8 / 1000))
    on conflict (user_pk, role_pk, scope, origin) do update set expires_at = excluded.expires_at, granted_at = now()`;
}
