import { Catalogue, type EdgeRow, type IncludeRow } from '../../domain/decision/catalogue.ts';
import type { AccessState, Credential } from '../../domain/decision/gains.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Effect, Window } from '../../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { Sql } from '../database.ts';

/** A row as JSON; a column that the schema does not have, or not yet, is simply not there. */
type Row = Readonly<Record<string, unknown>>;

/** The tables whose rows decide what somebody may do. */
export const accessTables: readonly string[] = [
  'users',
  'roles',
  'permissions',
  'role_includes',
  'role_permissions',
  'user_roles',
  'user_permissions',
  'api_keys',
];

/**
 * What everybody may do as a release would see it that knows only the columns that are there: without `expires_at`
 * everything is for good, without `withheld` nothing is withheld, without a table there is nothing of it. Reads all of it
 * into memory.
 */
export async function readAccessState(sql: Sql): Promise<AccessState> {
  const rows: Record<string, readonly Row[]> = {};
  for (const table of accessTables) rows[table] = await rowsOf(sql, table);
  const by = <Value>(table: string, value: (row: Row) => Value) =>
    new Map((rows[table] ?? []).map((row) => [row['pk'], value(row)]));
  const ids = by('users', (row) => row['id'] as UserId);
  const roles = by('roles', (row) => row['key'] as RoleKey);
  const slugs = by('permissions', (row) => `${row['resource']}_${row['action']}` as PermissionSlug);

  const users = new Map<
    UserId,
    {
      active: boolean;
      grants: UserAccess['grants'][number][];
      exceptions: UserAccess['exceptions'][number][];
    }
  >();
  for (const row of rows['users'] ?? [])
    users.set(row['id'] as UserId, { active: row['active'] !== false, grants: [], exceptions: [] });
  const of = (row: Row) => users.get(ids.get(row['user_pk']) as UserId);
  for (const row of rows['user_roles'] ?? []) {
    const role = roles.get(row['role_pk']);
    if (role) of(row)?.grants.push({ role, scope: scopeOf(row), ...windowOf(row) });
  }
  for (const row of rows['user_permissions'] ?? []) {
    const permission = slugs.get(row['permission_pk']);
    const effect = (row['effect'] ?? 'allow') as Effect;
    if (permission) of(row)?.exceptions.push({ permission, effect, scope: scopeOf(row), ...windowOf(row) });
  }
  return {
    users,
    catalogue: new Catalogue({
      registered: (rows['permissions'] ?? [])
        .filter((row) => !row['retired_at'])
        .map((row) => slugs.get(row['pk']) as PermissionSlug),
      includes: edges(
        rows['role_includes'],
        (row) => ({ included: roles.get(row['included_pk']) }),
        roles,
      ) as IncludeRow[],
      edges: edges(
        rows['role_permissions'],
        (row) => ({ permission: slugs.get(row['permission_pk']) }),
        roles,
      ) as EdgeRow[],
    }),
    credentials: new Map(
      (rows['api_keys'] ?? []).map((row) => [row['id'] as string, credentialOf(row, ids)]),
    ),
  };
}

async function rowsOf(sql: Sql, table: string): Promise<readonly Row[]> {
  const name = `rolecall.${table}`;
  const [there] = await sql<{ found: boolean }[]>`select to_regclass(${name}) is not null as found`;
  if (!there?.found) return [];
  const rows = await sql<{ row: Row }[]>`select to_jsonb(t) as row from ${sql(name)} t`;
  return rows.map(({ row }) => row);
}

function edges(
  rows: readonly Row[] = [],
  target: (row: Row) => object,
  roles: ReadonlyMap<unknown, RoleKey>,
) {
  return rows.map((row) => ({
    role: roles.get(row['role_pk']),
    withheld: row['withheld'] === true,
    ...target(row),
  }));
}

function credentialOf(row: Row, ids: ReadonlyMap<unknown, UserId>): Credential {
  const permissions = row['permissions'] as PermissionSlug[] | null | undefined;
  return {
    user: ids.get(row['user_pk']) as UserId,
    narrowedTo: permissions ? new Set(permissions) : null,
    within: scopeOf(row),
    revoked: Boolean(row['revoked_at']),
    expiresAt: windowOf(row).expiresAt,
  };
}

function windowOf(row: Row): Window {
  const instant = (text: unknown): Instant | null => (text ? (Date.parse(text as string) as Instant) : null);
  return { startsAt: instant(row['starts_at']), expiresAt: instant(row['expires_at']) };
}

function scopeOf(row: Row): Scope {
  return (row['scope'] ?? '') as Scope;
}
