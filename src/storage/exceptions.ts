import { and, asc, eq, sql as raw } from 'drizzle-orm';
import type { Effect, Terms } from '../domain/grants.ts';
import type { PermissionSlug, Scope, UserId } from '../domain/ids.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { granterName } from './granters.ts';
import { permissions } from './schema/permissions.ts';
import { userPermissions } from './schema/user-permissions.ts';
import { users } from './schema/users.ts';

export interface ExceptionTerms extends Terms {
  readonly effect: Effect;
}

export interface ExceptionRow extends ExceptionTerms {
  readonly pk: number;
  readonly userPk: number;
  readonly user: UserId;
  readonly permission: PermissionSlug;
  readonly permissionPk: number;
  readonly scope: Scope;
  readonly grantedBy: string | null;
  readonly grantedAt: number;
}

export interface ExceptionPlace {
  readonly userPk: number;
  readonly permissionPk: number;
  readonly scope: Scope;
}

function selectExceptions({ db }: ReadHandle) {
  return db
    .select({
      pk: userPermissions.pk,
      userPk: userPermissions.userPk,
      user: users.id,
      permission: permissions.slug,
      permissionPk: userPermissions.permissionPk,
      scope: userPermissions.scope,
      effect: userPermissions.effect,
      startsAt: userPermissions.startsAt,
      expiresAt: userPermissions.expiresAt,
      reason: userPermissions.reason,
      grantedBy: granterName(userPermissions.grantedBy),
      grantedAt: userPermissions.grantedAt,
    })
    .from(userPermissions)
    .innerJoin(users, eq(users.pk, userPermissions.userPk))
    .innerJoin(permissions, eq(permissions.pk, userPermissions.permissionPk));
}

export async function findException(
  handle: ReadHandle,
  place: ExceptionPlace,
): Promise<ExceptionRow | undefined> {
  const [row] = await selectExceptions(handle).where(
    and(
      eq(userPermissions.userPk, place.userPk),
      eq(userPermissions.permissionPk, place.permissionPk),
      eq(userPermissions.scope, place.scope),
    ),
  );
  return row as ExceptionRow | undefined;
}

export async function exceptionsOfUser(handle: ReadHandle, userPk: number): Promise<readonly ExceptionRow[]> {
  const rows = await selectExceptions(handle)
    .where(eq(userPermissions.userPk, userPk))
    .orderBy(asc(permissions.slug), asc(userPermissions.scope));
  return rows as ExceptionRow[];
}

/** Makes the exception at this place, or gives the one that is there new terms. */
export async function putException(
  { db }: ChangeHandle,
  place: ExceptionPlace,
  terms: ExceptionTerms,
  grantedBy: number | null,
): Promise<void> {
  const given = { ...terms, grantedBy };
  await db
    .insert(userPermissions)
    .values({ ...place, ...given })
    .onConflictDoUpdate({
      target: [userPermissions.userPk, userPermissions.permissionPk, userPermissions.scope],
      set: { ...given, grantedAt: raw`now()` },
    });
}

export async function deleteException({ db }: ChangeHandle, pk: number): Promise<void> {
  await db.delete(userPermissions).where(eq(userPermissions.pk, pk));
}

/** Ends all exceptions of a permission or of a user. Returns what ended. */
export async function endExceptions(
  handle: ChangeHandle,
  whose: { readonly permissionPk: number } | { readonly userPk: number },
): Promise<readonly ExceptionRow[]> {
  const concerned =
    'userPk' in whose
      ? eq(userPermissions.userPk, whose.userPk)
      : eq(userPermissions.permissionPk, whose.permissionPk);
  const rows = await selectExceptions(handle)
    .where(concerned)
    .orderBy(asc(users.id), asc(permissions.slug), asc(userPermissions.scope));
  await handle.db.delete(userPermissions).where(concerned);
  return rows as ExceptionRow[];
}
