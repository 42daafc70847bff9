import { and, asc, eq, gt, inArray, isNull, sql as raw } from 'drizzle-orm';
import type { PermissionSlug } from '../domain/ids.ts';
import { type PermissionName, slugOf } from '../domain/permissions.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { permissions } from './schema/permissions.ts';

export type PermissionRow = Omit<typeof permissions.$inferSelect, 'slug'> & { readonly slug: PermissionSlug };

/** Retired ones too: the slug stays theirs. */
export async function findPermission(
  { db }: ReadHandle,
  slug: PermissionSlug,
): Promise<PermissionRow | undefined> {
  const [row] = await db.select().from(permissions).where(eq(permissions.slug, slug));
  return row as PermissionRow | undefined;
}

export async function findPermissions(
  { db }: ReadHandle,
  slugs: readonly PermissionSlug[],
): Promise<readonly PermissionRow[]> {
  if (slugs.length === 0) return [];
  const rows = await db
    .select()
    .from(permissions)
    .where(inArray(permissions.slug, [...slugs]));
  return rows as PermissionRow[];
}

/** Every registered slug, in no order. */
export async function allSlugs({ db }: ReadHandle): Promise<readonly PermissionSlug[]> {
  const rows = await db
    .select({ slug: permissions.slug })
    .from(permissions)
    .where(isNull(permissions.retiredAt));
  return rows.map((row) => row.slug as PermissionSlug);
}

export async function listPermissions(
  { db }: ReadHandle,
  filter: { readonly resource?: string | undefined; readonly retired: boolean },
  after: string | null,
  limit: number,
): Promise<readonly PermissionRow[]> {
  const rows = await db
    .select()
    .from(permissions)
    .where(
      and(
        after === null ? undefined : gt(permissions.slug, after),
        filter.resource === undefined ? undefined : eq(permissions.resource, filter.resource),
        filter.retired ? undefined : isNull(permissions.retiredAt),
      ),
    )
    .orderBy(asc(permissions.slug))
    .limit(limit + 1);
  return rows as PermissionRow[];
}

/** Throws `slug_collision` if the slug is taken, be it by a retired permission. */
export async function insertPermission(
  { db }: ChangeHandle,
  permission: PermissionName & { readonly description: string; readonly declaredIn?: string },
): Promise<PermissionRow> {
  const [row] = await db.insert(permissions).values(permission).returning();
  return row as PermissionRow;
}

export async function updatePermission(
  { db }: ChangeHandle,
  pk: number,
  change: {
    readonly description?: string | undefined;
    readonly declaredIn?: string | null;
    readonly retired?: boolean;
  },
): Promise<PermissionRow> {
  const { retired, ...columns } = change;
  const [row] = await db
    .update(permissions)
    .set({
      ...columns,
      ...(retired === undefined ? {} : { retiredAt: retired ? raw`now()` : null }),
      updatedAt: raw`now()`,
    })
    .where(eq(permissions.pk, pk))
    .returning();
  return row as PermissionRow;
}

/** A permission after its registration: whether that made or revived it. */
export interface RegisteredPermission extends PermissionRow {
  readonly created: boolean;
  readonly revived: boolean;
}

/**
 * Registers each permission that is not, in the order given; one that was retired comes back with the description
 * given. The caller has refused collisions: a slug that another resource and action have would be left as it is.
 */
export async function registerPermissions(
  handle: ChangeHandle,
  wanted: readonly (PermissionName & { readonly description: string })[],
): Promise<readonly RegisteredPermission[]> {
  const slugs = wanted.map(slugOf);
  const before = new Map((await findPermissions(handle, slugs)).map((row) => [row.slug, row]));
  const missing = new Map(wanted.map((permission) => [slugOf(permission), permission]));
  for (const [slug, row] of before) {
    if (row.retiredAt !== null)
      await updatePermission(handle, row.pk, { retired: false, description: missing.get(slug)?.description });
    missing.delete(slug);
  }
  if (missing.size > 0) await handle.db.insert(permissions).values([...missing.values()]);
  const after = new Map((await findPermissions(handle, slugs)).map((row) => [row.slug, row]));
  const told = new Set<PermissionSlug>();
  return slugs.map((slug) => {
    const was = before.get(slug);
    const revived = was !== undefined && was.retiredAt !== null;
    const created = (was === undefined || revived) && !told.has(slug);
    told.add(slug);
    return { ...(after.get(slug) as PermissionRow), created, revived };
  });
}
