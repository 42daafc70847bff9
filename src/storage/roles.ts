import { and, asc, eq, gt, sql as raw } from 'drizzle-orm';
import type { RoleKey } from '../domain/ids.ts';
import type { ChangeHandle, ReadHandle, Sql } from './database.ts';
import { roles } from './schema/roles.ts';

export type RoleRow = Omit<typeof roles.$inferSelect, 'key'> & { readonly key: RoleKey };

export async function findRole({ db }: ReadHandle, key: RoleKey): Promise<RoleRow | undefined> {
  const [row] = await db.select().from(roles).where(eq(roles.key, key));
  return row as RoleRow | undefined;
}

/** Every role key, in no order. */
export async function allRoleKeys({ db }: ReadHandle): Promise<readonly RoleKey[]> {
  return (await db.select({ key: roles.key }).from(roles)).map((row) => row.key as RoleKey);
}

export async function listRoles(
  { db }: ReadHandle,
  after: string | null,
  limit: number,
): Promise<readonly RoleRow[]> {
  const rows = await db
    .select()
    .from(roles)
    .where(and(after === null ? undefined : gt(roles.key, after)))
    .orderBy(asc(roles.key))
    .limit(limit + 1);
  return rows as RoleRow[];
}

/** Throws `role_exists`. */
export async function insertRole(
  { db }: ChangeHandle,
  role: {
    readonly key: RoleKey;
    readonly name: string;
    readonly description: string;
    readonly isSystem?: boolean;
    readonly declaredIn?: string;
  },
): Promise<RoleRow> {
  const [row] = await db.insert(roles).values(role).returning();
  return row as RoleRow;
}

export async function updateRole(
  { db }: ChangeHandle,
  pk: number,
  change: {
    readonly name?: string | undefined;
    readonly description?: string | undefined;
    readonly isSystem?: boolean;
    readonly declaredIn?: string | null;
  },
): Promise<RoleRow> {
  const [row] = await db
    .update(roles)
    .set({ ...change, updatedAt: raw`now()` })
    .where(eq(roles.pk, pk))
    .returning();
  return row as RoleRow;
}

export async function deleteRole({ db }: ChangeHandle, pk: number): Promise<void> {
  await db.delete(roles).where(eq(roles.pk, pk));
}

/** Whether a matrix layer declares the role. */
export async function roleIsDeclared(sql: Sql, key: RoleKey): Promise<boolean> {
  const rows = await sql`select 1 from rolecall.roles where key = ${key} and declared_in is not null`;
  return rows.length > 0;
}
