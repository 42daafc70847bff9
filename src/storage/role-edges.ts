import { and, asc, eq, inArray, sql as raw } from 'drizzle-orm';
import type { PermissionSlug, RoleKey } from '../domain/ids.ts';
import type { OriginRow } from '../domain/origins.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { permissions } from './schema/permissions.ts';
import { roleIncludes } from './schema/role-includes.ts';
import { rolePermissions } from './schema/role-permissions.ts';

export interface RolePermissionRow extends OriginRow {
  readonly permission: PermissionSlug;
  readonly permissionPk: number;
}

/** All rows of a role's edges, every origin and tombstone by itself. */
export async function permissionRowsOf(
  { db }: ReadHandle,
  rolePk: number,
): Promise<readonly RolePermissionRow[]> {
  const rows = await db
    .select({
      permission: permissions.slug,
      permissionPk: rolePermissions.permissionPk,
      origin: rolePermissions.origin,
      withheld: rolePermissions.withheld,
    })
    .from(rolePermissions)
    .innerJoin(permissions, eq(permissions.pk, rolePermissions.permissionPk))
    .where(eq(rolePermissions.rolePk, rolePk))
    .orderBy(asc(permissions.slug), asc(rolePermissions.origin));
  return rows as RolePermissionRow[];
}

export interface RoleIncludeRow extends OriginRow {
  readonly role: RoleKey;
  readonly rolePk: number;
  readonly included: RoleKey;
  readonly includedPk: number;
}

/** Every include there is, tombstones too: few, and needed whole to refuse cycles. */
export async function allIncludes({ sql }: ReadHandle): Promise<readonly RoleIncludeRow[]> {
  const rows = await sql<(RoleIncludeRow & { rolePk: string; includedPk: string })[]>`
    select holder.key as role, role_pk as "rolePk", included.key as included, included_pk as "includedPk",
      origin, withheld
    from rolecall.role_includes
    join rolecall.roles as holder on holder.pk = role_pk
    join rolecall.roles as included on included.pk = included_pk
    order by holder.key, included.key, origin`;
  return rows.map((row) => ({ ...row, rolePk: Number(row.rolePk), includedPk: Number(row.includedPk) }));
}

/** Makes each row of the role's edges, or gives the row of its origin that is there the other sense. */
export async function putRolePermissions(
  { db }: ChangeHandle,
  rolePk: number,
  rows: readonly (OriginRow & { readonly permissionPk: number })[],
): Promise<void> {
  if (rows.length === 0) return;
  await db
    .insert(rolePermissions)
    .values(rows.map((row) => ({ rolePk, ...row })))
    .onConflictDoUpdate({
      target: [rolePermissions.rolePk, rolePermissions.permissionPk, rolePermissions.origin],
      set: { withheld: raw`excluded.withheld` },
    });
}

/** Takes the rows of one origin away from the role's edges to these permissions. */
export async function deleteRolePermissions(
  { db }: ChangeHandle,
  rolePk: number,
  permissionPks: readonly number[],
  origin: string,
): Promise<void> {
  if (permissionPks.length === 0) return;
  await db
    .delete(rolePermissions)
    .where(
      and(
        eq(rolePermissions.rolePk, rolePk),
        inArray(rolePermissions.permissionPk, [...permissionPks]),
        eq(rolePermissions.origin, origin),
      ),
    );
}

export async function putRoleInclude(
  { db }: ChangeHandle,
  include: { readonly rolePk: number; readonly includedPk: number } & OriginRow,
): Promise<void> {
  await db
    .insert(roleIncludes)
    .values(include)
    .onConflictDoUpdate({
      target: [roleIncludes.rolePk, roleIncludes.includedPk, roleIncludes.origin],
      set: { withheld: include.withheld },
    });
}

export async function deleteRoleInclude(
  { db }: ChangeHandle,
  include: { readonly rolePk: number; readonly includedPk: number; readonly origin: string },
): Promise<void> {
  await db
    .delete(roleIncludes)
    .where(
      and(
        eq(roleIncludes.rolePk, include.rolePk),
        eq(roleIncludes.includedPk, include.includedPk),
        eq(roleIncludes.origin, include.origin),
      ),
    );
}

/** Takes a permission that is being retired from every role. Returns the rows that went. */
export async function deleteEdgesOfPermission(
  { db, sql }: ChangeHandle,
  permissionPk: number,
): Promise<readonly (OriginRow & { readonly rolePk: number; readonly role: RoleKey })[]> {
  const rows = await sql<(OriginRow & { rolePk: string; role: RoleKey })[]>`
    select role_pk as "rolePk", key as role, origin, withheld
    from rolecall.role_permissions join rolecall.roles on roles.pk = role_pk
    where permission_pk = ${permissionPk} order by key, origin`;
  await db.delete(rolePermissions).where(eq(rolePermissions.permissionPk, permissionPk));
  return rows.map((row) => ({ ...row, rolePk: Number(row.rolePk) }));
}
