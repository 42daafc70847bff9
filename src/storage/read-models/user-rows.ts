import type { UserAccess } from '../../domain/decision/user-access.ts';
import { type Identity, identityNamed } from '../../domain/identities.ts';
import type { Instant, PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';
import type { Moment } from './moment.ts';

export interface UserRow {
  readonly pk: number;
  readonly id: UserId;
  readonly access: UserAccess;
}

/** What authentication needs to know about an API key. */
export interface CredentialRow {
  readonly keyId: string;
  readonly pk: number;
  readonly userPk: number;
  readonly user: UserId;
  readonly secretHash: Buffer;
  readonly narrowedTo: readonly PermissionSlug[] | null;
  readonly within: Scope;
  readonly expiresAt: Instant | null;
  readonly revoked: boolean;
}

/** Whose an identity is. */
export interface IdentityRow extends Identity {
  readonly pk: number;
  readonly userPk: number;
  readonly user: UserId;
}

/** Users, keys and identities as of one revision. Who or what is not listed does not exist there. */
export interface UserRows {
  readonly revision: Revision;
  readonly users: readonly UserRow[];
  readonly credentials: readonly CredentialRow[];
  readonly identities: readonly IdentityRow[];
}

/** A user with all that decides about them. */
export interface PersonRow extends UserAccess {
  readonly pk: number;
  readonly id: UserId;
}

interface Row extends Moment {
  readonly users: readonly PersonRow[];
  readonly credentials: readonly (Omit<CredentialRow, 'secretHash'> & { secretHash: string })[];
  readonly identities: readonly IdentityRow[];
}

/**
 * Reads users, by id or as the owners of keys and identities, with all that decides about them, and the moment they belong to, in one
 * statement and so on one snapshot. Rows come as they are, expired ones too: `domain/decision` says what they mean.
 */
export async function loadUsers(
  sql: Sql,
  ids: readonly UserId[],
  credentialIds: readonly string[],
): Promise<UserRows & Moment> {
  const identities = credentialIds.flatMap((id) => identityNamed(id) ?? []);
  const [issuers, subjects] = [identities.map((one) => one.issuer), identities.map((one) => one.subject)];
  const [row] = await sql<[Row]>`
    with credentials as materialized (
      select keys.id, keys.pk, user_pk, secret_hash, permissions, scope, expires_at, revoked_at
      from rolecall.api_keys as keys where keys.id = any(${[...credentialIds]}::text[])
    ), linked as materialized (
      select held.pk, user_pk, held.issuer, held.subject
      from unnest(${issuers}::text[], ${subjects}::text[]) as asked (issuer, subject)
      join rolecall.identities as held on held.issuer = asked.issuer and held.subject = asked.subject
    ), people as materialized (
      select pk, id, active from rolecall.users where id = any(${[...ids]}::text[])
      union select pk, id, active from rolecall.users where pk in
        (select user_pk from credentials union all select user_pk from linked)
    )
    select json_build_object('epoch', epoch, 'value', value) as revision, catalogue_value::float8 as "catalogueValue",
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select coalesce(json_agg(${person(sql)}), '[]') from people) as users,
      (select coalesce(json_agg(json_build_object('keyId', credentials.id, 'pk', credentials.pk, 'userPk', user_pk,
          'user', people.id, 'secretHash', encode(secret_hash, 'hex'), 'narrowedTo', permissions,
          'within', scope, 'expiresAt', extract(epoch from expires_at) * 1000, 'revoked', revoked_at is not null)), '[]')
        from credentials join people on people.pk = user_pk) as credentials,
      (select coalesce(json_agg(json_build_object('pk', linked.pk, 'userPk', user_pk, 'user', people.id,
          'issuer', issuer, 'subject', subject)), '[]')
        from linked join people on people.pk = user_pk) as identities
    from rolecall.revision`;
  return {
    ...row,
    users: row.users.map(({ pk, id, ...access }) => ({ pk, id, access })),
    credentials: row.credentials.map((credential) => ({
      ...credential,
      secretHash: Buffer.from(credential.secretHash, 'hex'),
    })),
  };
}

/**
 * A row of `people` as a `PersonRow`. Grants and exceptions are looked up for each by their index: joined to all people at
 * once they were read whole wherever the planner took their tables for small.
 */
export const person = (sql: Sql) => sql`
  json_build_object('pk', people.pk, 'id', people.id, 'active', people.active,
    'grants', (select coalesce(json_agg(json_build_object('role', key, 'scope', scope,
        'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
      from rolecall.user_roles join rolecall.roles on roles.pk = role_pk where user_pk = people.pk),
    'exceptions', (select coalesce(json_agg(json_build_object('permission', slug, 'effect', effect, 'scope', scope,
        'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
      from rolecall.user_permissions join rolecall.permissions on permissions.pk = permission_pk
      where user_pk = people.pk))`;
