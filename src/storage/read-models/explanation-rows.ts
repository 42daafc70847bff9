import type { OriginRows } from '../../domain/decision/chains.ts';
import type { GivenAccess } from '../../domain/decision/explain.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { Sql } from '../database.ts';
import { givenMembers } from '../granters.ts';

/** What a decision about one user rests on, with who gave it and which origins say so. */
export interface ExplanationRows extends OriginRows {
  /** Undefined when there is no such user. Has only what is held in one of the scopes. */
  readonly user: GivenAccess | undefined;
}

interface Row extends OriginRows {
  readonly active: boolean | null;
  readonly grants: GivenAccess['grants'];
  readonly exceptions: GivenAccess['exceptions'];
}

/** Reads the rows behind one decision in one statement. They come as they are, expired and withheld ones too. */
export async function loadExplanationRows(
  sql: Sql,
  user: UserId,
  permission: PermissionSlug,
  scopes: readonly Scope[],
): Promise<ExplanationRows> {
  const [row] = await sql<[Row]>`
    with person as materialized (select pk, active from rolecall.users where id = ${user})
    select (select active from person) as active,
      (select coalesce(json_agg(json_build_object('role', key, 'origin', held.origin, ${givenMembers(sql)})), '[]')
        from person join rolecall.user_roles as held on held.user_pk = person.pk
        join rolecall.roles on roles.pk = held.role_pk
        where held.scope = any(${[...scopes]}::text[])) as grants,
      (select coalesce(json_agg(json_build_object('permission', slug, 'effect', effect, ${givenMembers(sql)})), '[]')
        from person join rolecall.user_permissions as held on held.user_pk = person.pk
        join rolecall.permissions on permissions.pk = held.permission_pk
        where held.scope = any(${[...scopes]}::text[])) as exceptions,
      (select coalesce(json_agg(json_build_object('role', holder.key, 'included', included.key, 'origin', origin,
          'withheld', withheld)), '[]')
        from rolecall.role_includes join rolecall.roles as holder on holder.pk = role_pk
        join rolecall.roles as included on included.pk = included_pk) as includes,
      (select coalesce(json_agg(json_build_object('role', key, 'permission', slug, 'origin', origin,
          'withheld', withheld)), '[]')
        from rolecall.permissions join rolecall.role_permissions on permission_pk = permissions.pk
        join rolecall.roles on roles.pk = role_pk
        where slug = ${permission}) as edges`;
  const { active, grants, exceptions, includes, edges } = row;
  return { user: active === null ? undefined : { active, grants, exceptions }, includes, edges };
}
