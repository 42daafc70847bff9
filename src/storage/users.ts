import { and, asc, eq, exists, gt, or, sql as raw } from 'drizzle-orm';
import { QueryBuilder } from 'drizzle-orm/pg-core';
import type { UserId } from '../domain/ids.ts';
import type { Sight } from '../domain/sight.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { userPermissions } from './schema/user-permissions.ts';
import { userRoles } from './schema/user-roles.ts';
import { users } from './schema/users.ts';
import { inSight } from './sight.ts';

export type UserRow = Omit<typeof users.$inferSelect, 'id'> & { readonly id: UserId };

export interface UserFilter {
  readonly email?: string | undefined;
  readonly idPrefix?: string | undefined;
  readonly active?: boolean | undefined;
  /** Who has a grant or an exception there, in force or not. */
  readonly holdingIn?: Sight | undefined;
}

function isHolding(sight: Sight) {
  const held = (table: typeof userRoles | typeof userPermissions) =>
    exists(
      new QueryBuilder()
        .select({ pk: table.pk })
        .from(table)
        .where(and(eq(table.userPk, users.pk), inSight(table.scope, sight))),
    );
  return or(held(userRoles), held(userPermissions));
}

/**
 * With `holdingIn`, undefined also for a user without a grant or an exception there. One statement asks both,
 * so that such a user costs what an unknown id costs.
 */
export async function findUser(
  { db }: ReadHandle,
  id: UserId,
  holdingIn?: Sight,
): Promise<UserRow | undefined> {
  const [row] = await db
    .select()
    .from(users)
    .where(and(eq(users.id, id), holdingIn && isHolding(holdingIn)));
  return row as UserRow | undefined;
}

/** Users in the order of their ids, after a position, one more than `limit` if there are more. */
export async function listUsers(
  { db }: ReadHandle,
  filter: UserFilter,
  after: string | null,
  limit: number,
): Promise<readonly UserRow[]> {
  const rows = await db
    .select()
    .from(users)
    .where(
      and(
        after === null ? undefined : gt(users.id, after),
        filter.email === undefined ? undefined : eq(users.email, filter.email),
        filter.active === undefined ? undefined : eq(users.active, filter.active),
        filter.holdingIn === undefined ? undefined : isHolding(filter.holdingIn),
        filter.idPrefix === undefined ? undefined : raw`starts_with(${users.id}, ${filter.idPrefix})`,
      ),
    )
    .orderBy(asc(users.id))
    .limit(limit + 1);
  return rows as UserRow[];
}

/** Throws `user_exists` or `email_taken`. */
export async function insertUser(
  { db }: ChangeHandle,
  user: { readonly id: UserId; readonly email: string | null; readonly active: boolean },
): Promise<UserRow> {
  const [row] = await db.insert(users).values(user).returning();
  return row as UserRow;
}

/** Throws `email_taken`. */
export async function updateUser(
  { db }: ChangeHandle,
  pk: number,
  change: { readonly email?: string | null | undefined; readonly active?: boolean | undefined },
): Promise<UserRow> {
  const [row] = await db
    .update(users)
    .set({ ...change, updatedAt: raw`now()` })
    .where(eq(users.pk, pk))
    .returning();
  return row as UserRow;
}

/** The caller has closed everything that refers to the user first: the constraints refuse otherwise. */
export async function deleteUser({ db }: ChangeHandle, pk: number): Promise<void> {
  await db.delete(users).where(eq(users.pk, pk));
}
