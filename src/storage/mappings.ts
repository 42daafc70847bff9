import { and, asc, eq, gt, sql as raw } from 'drizzle-orm';
import type { Instant, RoleKey, Scope } from '../domain/ids.ts';
import type { Mapping } from '../domain/mappings.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { mappings } from './schema/mappings.ts';
import { roles } from './schema/roles.ts';

export interface MappingRow extends Mapping {
  readonly pk: number;
  readonly id: string;
  readonly rolePk: number;
  readonly createdAt: number;
}

function selectMappings({ db }: ReadHandle) {
  const { pk, id, issuer, claim, value, rolePk, createdAt } = mappings;
  const [role, scope] = [raw<RoleKey>`${roles.key}`, raw<Scope>`${mappings.scope}`];
  return db
    .select({ pk, id, issuer, claim, value, role, rolePk, scope, createdAt })
    .from(mappings)
    .innerJoin(roles, eq(roles.pk, mappings.rolePk));
}

export async function findMapping(handle: ReadHandle, id: string): Promise<MappingRow | undefined> {
  const [row] = await selectMappings(handle).where(eq(mappings.id, id));
  return row;
}

/** The mapping that says the same, if there is one. */
export async function findSameMapping(
  handle: ReadHandle,
  rolePk: number,
  { issuer, claim, value, scope }: Mapping,
): Promise<MappingRow | undefined> {
  const [row] = await selectMappings(handle).where(
    and(
      eq(mappings.issuer, issuer),
      eq(mappings.claim, [...claim]),
      eq(mappings.value, value),
      eq(mappings.rolePk, rolePk),
      eq(mappings.scope, scope),
    ),
  );
  return row;
}

/** Mappings in the order of their ids, after a position, one more than `limit` if there are more. */
export async function listMappings(
  handle: ReadHandle,
  filter: { readonly issuer?: string | undefined },
  after: string | null,
  limit: number,
): Promise<readonly MappingRow[]> {
  return selectMappings(handle)
    .where(
      and(
        after === null ? undefined : gt(mappings.id, after),
        filter.issuer === undefined ? undefined : eq(mappings.issuer, filter.issuer),
      ),
    )
    .orderBy(asc(mappings.id))
    .limit(limit + 1);
}

/** All mappings of an issuer. */
export async function mappingsOf(handle: ReadHandle, issuer: string): Promise<readonly MappingRow[]> {
  return selectMappings(handle).where(eq(mappings.issuer, issuer));
}

/** All mappings to a role. */
export async function mappingsTo(handle: ReadHandle, rolePk: number): Promise<readonly MappingRow[]> {
  return selectMappings(handle).where(eq(mappings.rolePk, rolePk));
}

export async function insertMapping(
  handle: ChangeHandle,
  id: string,
  rolePk: number,
  { issuer, claim, value, scope }: Mapping,
): Promise<MappingRow> {
  // Tokens are held to when it was made: `now()` is when the write began, and it may have waited for its turn since.
  const createdAt = raw<Instant>`clock_timestamp()`;
  await handle.db.insert(mappings).values({ id, issuer, claim: [...claim], value, rolePk, scope, createdAt });
  return (await findMapping(handle, id)) as MappingRow;
}

/** Takes a mapping away, and who met it. Returns the internal keys of their users. */
export async function deleteMapping({ sql, db }: ChangeHandle, pk: number): Promise<readonly number[]> {
  const rows = await sql<{ userPk: number }[]>`
    with met as (delete from rolecall.identity_mappings where mapping_pk = ${pk} returning identity_pk)
    select distinct user_pk::float8 as "userPk" from met join rolecall.identities on identities.pk = identity_pk`;
  await db.delete(mappings).where(eq(mappings.pk, pk));
  return rows.map(({ userPk }) => userPk);
}
