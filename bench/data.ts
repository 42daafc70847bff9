import type postgres from 'postgres';

/** How much there is of everything. */
export interface Size {
  readonly users: number;
  readonly roles: number;
  readonly permissions: number;
}

/** One question, and what the answer must be. */
export interface Question {
  readonly user: string;
  readonly permission: string;
  readonly scope: string;
  readonly allowed: boolean;
}

/** A role that nobody has yet, for whoever measures granting. */
export const spareRole = 'spare';

export const permissionsOfRole = 20;
const scopes = 50;

/** Those who are denied the second permission of their own role. */
export const isDenied = (user: number) => user % 20 === 0;
export const includesTheOneBefore = (role: number) => role % 5 !== 0;
export const roleOf = (user: number, { roles }: Size) => user % roles;
export const scopedRoleOf = (user: number, { roles }: Size) => (user * 7 + 3) % roles;
const scopeOf = (user: number) => `org/${user % scopes}`;

/** The permission at a place of a role's list. Permission 0 is in no list. */
export const permissionAt = (role: number, place: number, { permissions }: Size) =>
  1 + ((role * 7 + place) % (permissions - 1));

export const slugOf = (permission: number) => `things${Math.floor(permission / 10)}_act${permission % 10}`;

/** Four questions about each user in turn: by the role everywhere, of nobody's permission, by the scoped role, denied for some. */
export function questionOf(user: number, kind: number, size: Size): Question {
  const scope = scopeOf(user);
  const own = (place: number) => slugOf(permissionAt(roleOf(user, size), place, size));
  const scoped = slugOf(permissionAt(scopedRoleOf(user, size), 0, size));
  const asked = [
    { permission: own(0), scope: `${scope}/team`, allowed: true },
    { permission: slugOf(0), scope, allowed: false },
    { permission: scoped, scope, allowed: !isDenied(user) || scoped !== own(1) },
    { permission: own(1), scope: '', allowed: !isDenied(user) },
  ][kind % 4];
  return { user: `u${user}`, ...(asked as Omit<Question, 'user'>) };
}

/**
 * Fills a migrated database by statements over sets, past the service and its journal, as the functions above say. A
 * user has one role everywhere and another in one scope. Needs a single connection.
 */
export async function fill(sql: postgres.Sql, { users, roles, permissions }: Size): Promise<void> {
  // The rows refer to each other by construction, and checking millions of references takes longer than writing them.
  await sql`set session_replication_role = replica`;
  await sql`set synchronous_commit = off`;
  await sql`
    insert into rolecall.permissions (resource, action)
    select 'things' || n / 10, 'act' || n % 10 from generate_series(0, ${permissions - 1}::int) as n order by n`;
  await sql`
    insert into rolecall.roles (key, name) select 'bench-' || n, 'Role ' || n
    from generate_series(0, ${roles - 1}::int) as n order by n`;
  await sql`insert into rolecall.users (id) select 'u' || n from generate_series(0, ${users - 1}::int) as n order by n`;
  await sql`
    create temporary table p as select pk, row_number() over (order by pk) - 1 as n
    from rolecall.permissions where resource like 'things%'`;
  await sql`
    create temporary table r as select pk, row_number() over (order by pk) - 1 as n
    from rolecall.roles where key like 'bench-%'`;
  await sql`
    create temporary table u as select pk, row_number() over (order by pk) - 1 as n
    from rolecall.users where id ~ '^u[0-9]+$'`;
  await sql`
    insert into rolecall.role_permissions (role_pk, permission_pk, origin)
    select r.pk, p.pk, 'api' from r cross join generate_series(0, ${permissionsOfRole - 1}::int) as place
    join p on p.n = 1 + (r.n * 7 + place) % ${permissions - 1}::int`;
  await sql`
    insert into rolecall.role_includes (role_pk, included_pk, origin)
    select r.pk, before.pk, 'api' from r join r as before on before.n = r.n - 1 where r.n % 5 <> 0`;
  await sql`
    insert into rolecall.user_roles (user_pk, role_pk) select u.pk, r.pk from u join r on r.n = u.n % ${roles}::int`;
  await sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope) select u.pk, r.pk, 'org/' || u.n % ${scopes}::int
    from u join r on r.n = (u.n * 7 + 3) % ${roles}::int`;
  await sql`
    insert into rolecall.user_permissions (user_pk, permission_pk, effect) select u.pk, p.pk, 'deny'
    from u join p on p.n = 1 + (u.n % ${roles}::int * 7 + 1) % ${permissions - 1}::int where u.n % 20 = 0`;
  await sql`
    with spare as (insert into rolecall.roles (key, name) values (${spareRole}, 'Spare') returning pk)
    insert into rolecall.role_permissions (role_pk, permission_pk, origin)
    select spare.pk, p.pk, 'api' from spare, p where p.n between 1 and ${permissionsOfRole}::int`;
  await sql`vacuum analyze`;
  await sql`checkpoint`;
}
