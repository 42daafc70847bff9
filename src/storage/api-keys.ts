import { and, asc, eq, gt, sql as raw } from 'drizzle-orm';
import type { Instant, PermissionSlug, Scope, UserId } from '../domain/ids.ts';
import type { Sight } from '../domain/sight.ts';
import type { ChangeHandle, ReadHandle, Sql } from './database.ts';
import { apiKeys } from './schema/api-keys.ts';
import { users } from './schema/users.ts';
import { inSight } from './sight.ts';

export interface ApiKeyRow {
  readonly pk: number;
  readonly id: string;
  readonly user: UserId;
  readonly name: string;
  readonly permissions: readonly PermissionSlug[] | null;
  readonly scope: Scope;
  readonly expiresAt: Instant | null;
  readonly revokedAt: Instant | null;
  readonly createdAt: Instant;
  readonly lastUsedAt: Instant | null;
}

/** Whether the key may still be used, by the primary's clock. */
export async function keyStands(sql: Sql, keyPk: number): Promise<boolean> {
  const rows = await sql`
    select 1 from rolecall.api_keys
    where pk = ${keyPk} and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())`;
  return rows.length > 0;
}

/** Sets the last use of these keys to now. A key that is being changed is left out until its next use. */
export async function noteKeyUses(sql: Sql, pks: readonly number[]): Promise<void> {
  await sql`
    update rolecall.api_keys set last_used_at = clock_timestamp() where pk in (
      select pk from rolecall.api_keys
      where pk in (select value::bigint from jsonb_array_elements_text(${JSON.stringify(pks)}::text::jsonb))
      order by pk for no key update skip locked)`;
}

function selectKeys({ db }: ReadHandle) {
  return db
    .select({
      pk: apiKeys.pk,
      id: apiKeys.id,
      user: users.id,
      name: apiKeys.name,
      permissions: apiKeys.permissions,
      scope: apiKeys.scope,
      expiresAt: apiKeys.expiresAt,
      revokedAt: apiKeys.revokedAt,
      createdAt: apiKeys.createdAt,
      lastUsedAt: apiKeys.lastUsedAt,
    })
    .from(apiKeys)
    .innerJoin(users, eq(users.pk, apiKeys.userPk));
}

export async function findApiKey(handle: ReadHandle, id: string): Promise<ApiKeyRow | undefined> {
  const [row] = await selectKeys(handle).where(eq(apiKeys.id, id));
  return row as ApiKeyRow | undefined;
}

export async function listApiKeys(
  handle: ReadHandle,
  filter: { readonly user?: UserId | undefined },
  sight: Sight,
  after: string | null,
  limit: number,
): Promise<readonly ApiKeyRow[]> {
  const rows = await selectKeys(handle)
    .where(
      and(
        after === null ? undefined : gt(apiKeys.id, after),
        filter.user === undefined ? undefined : eq(users.id, filter.user),
        inSight(apiKeys.scope, sight),
      ),
    )
    .orderBy(asc(apiKeys.id))
    .limit(limit + 1);
  return rows as ApiKeyRow[];
}

export async function apiKeysOfUser(handle: ReadHandle, userPk: number): Promise<readonly ApiKeyRow[]> {
  const rows = await selectKeys(handle).where(eq(apiKeys.userPk, userPk)).orderBy(asc(apiKeys.id));
  return rows as ApiKeyRow[];
}

export async function insertApiKey(
  handle: ChangeHandle,
  key: {
    readonly id: string;
    readonly userPk: number;
    readonly name: string;
    readonly secretHash: Buffer;
    readonly permissions: readonly PermissionSlug[] | null;
    readonly scope: Scope;
    readonly expiresAt: Instant | null;
    readonly createdBy: number | null;
  },
): Promise<ApiKeyRow> {
  await handle.db.insert(apiKeys).values({ ...key, permissions: key.permissions && [...key.permissions] });
  return (await findApiKey(handle, key.id)) as ApiKeyRow;
}

export async function revokeApiKey({ db }: ChangeHandle, pk: number): Promise<void> {
  await db.update(apiKeys).set({ revokedAt: raw`now()` }).where(eq(apiKeys.pk, pk));
}

/** Lets a key end so many seconds from now by the primary's clock, or when it would have ended anyway, if that is sooner. */
export async function endApiKeyIn({ db }: ChangeHandle, pk: number, seconds: number): Promise<void> {
  const then = raw`date_trunc('milliseconds', clock_timestamp() + ${seconds} * interval '1 second')`;
  await db
    .update(apiKeys)
    .set({ expiresAt: raw`least(${apiKeys.expiresAt}, ${then})` })
    .where(eq(apiKeys.pk, pk));
}

/** Takes away every key of a user who is being deleted; each has its entry in the record. */
export async function deleteApiKeysOf({ db }: ChangeHandle, userPk: number): Promise<void> {
  await db.delete(apiKeys).where(eq(apiKeys.userPk, userPk));
}
