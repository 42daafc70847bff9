/**
 * Worlds as rows of a real database, many side by side, so that one query can ask thousands of questions. The names of
 * each world begin with its own number. What the database refuses to hold (rows that say nothing, or the same twice) is
 * left out of the world as well.
 */
import type { Sql } from '../../src/storage/database.ts';
import type { ReferenceException, ReferenceGrant, World } from './reference-model.ts';
import { inventedScopes, scopes } from './worlds.ts';

/** A world of the database, with the one instant at which it can be asked: now. */
export interface StoredWorld {
  readonly number: number;
  readonly world: World;
  readonly at: number;
}

/** A question as the database knows it, and who, what and where it is in its world. */
export interface StoredQuestion {
  readonly stored: StoredWorld;
  readonly user: string;
  /** A permission's slug or a role's key. */
  readonly what: string;
  readonly scope: string;
}

const hourMs = 3_600_000;

export const userIn = ({ number }: StoredWorld, user: string) => `${number}:${user}`;
export const slugIn = ({ number }: StoredWorld, slug: string) => `w${number}_${slug}`;
export const roleIn = ({ number }: StoredWorld, role: string) => `w${number}-${role}`;

const everyUser = ['alice', 'Alice', 'nobody', '__proto__'];
const everyPermission = ['orders_view', 'orders_view_all', 'a_b_c', 'orders_view_nothing'];
const everyRole = ['admin', 'viewer', 'orders_view', 'constructor', 'loader', 'unknown'];

/** What can be asked about permissions, or about roles, in a world. */
export function questionsAbout(what: 'permissions' | 'roles', stored: StoredWorld): StoredQuestion[] {
  const named = what === 'permissions' ? everyPermission : everyRole;
  return everyUser.flatMap((user) =>
    named.flatMap((each) =>
      [...scopes, ...inventedScopes].map((scope) => ({ stored, user, what: each, scope })),
    ),
  );
}

/** The part of a world that the database's own rules let it hold. */
export function storable(world: World): World {
  const isWindow = ({ startsAt, expiresAt }: ReferenceGrant | ReferenceException) =>
    startsAt === null || expiresAt === null || startsAt < expiresAt;
  const users = [...world.users].map(([id, { active, grants, exceptions }]) => {
    const held = exceptions.filter((each) => isWindow(each) && world.permissions.has(each.permission));
    return [
      id,
      {
        active,
        grants: grants.filter(isWindow),
        exceptions: held.filter(
          ({ permission, scope }, place) =>
            held.findIndex((other) => other.permission === permission && other.scope === scope) === place,
        ),
      },
    ] as const;
  });
  return {
    permissions: world.permissions,
    users: new Map(users),
    includes: world.includes.filter(({ role, included }) => role !== included),
    edges: world.edges.filter(({ permission }) => world.permissions.has(permission)),
  };
}

/** Writes the worlds. Whatever starts or expires does so whole hours before or after now, or just now. */
export async function store(sql: Sql, worlds: readonly StoredWorld[]): Promise<void> {
  const rows = worlds.map((stored) => rowsOf(stored));
  const given = (table: keyof ReturnType<typeof rowsOf>) => {
    const json = JSON.stringify(rows.flatMap((each): readonly unknown[] => each[table]));
    return sql`select * from jsonb_to_recordset(${json}::text::jsonb)`;
  };
  await sql`insert into rolecall.users (id, active) ${given('users')} as r (id text, active boolean)`;
  await sql`insert into rolecall.permissions (resource, action, retired_at)
    select resource, action, case when retired then now() end
    from (${given('permissions')} as r (resource text, action text, retired boolean)) as p`;
  await sql`insert into rolecall.roles (key, name) ${given('roles')} as r (key text, name text)`;
  await sql`insert into rolecall.role_includes (role_pk, included_pk, origin, withheld)
    select a.pk, b.pk, origin, withheld
    from (${given('includes')} as r (role text, target text, origin text, withheld boolean)) as i
    join rolecall.roles as a on a.key = role join rolecall.roles as b on b.key = target`;
  await sql`insert into rolecall.role_permissions (role_pk, permission_pk, origin, withheld)
    select a.pk, b.pk, origin, withheld
    from (${given('edges')} as r (role text, target text, origin text, withheld boolean)) as e
    join rolecall.roles as a on a.key = role join rolecall.permissions as b on b.slug = target`;
  const window = sql`date_trunc('milliseconds', now()) + starts * interval '1 ms',
    date_trunc('milliseconds', now()) + expires * interval '1 ms'`;
  await sql`insert into rolecall.user_roles (user_pk, role_pk, origin, scope, starts_at, expires_at)
    select users.pk, roles.pk, origin, scope, ${window}
    from (${given('grants')} as r (who text, role text, origin text, scope text, starts float8, expires float8)) as g
    join rolecall.users on id = who join rolecall.roles on key = role`;
  await sql`insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope, starts_at, expires_at)
    select users.pk, permissions.pk, effect, scope, ${window}
    from (${given('exceptions')} as r (who text, what text, effect text, scope text, starts float8, expires float8)) as e
    join rolecall.users on id = who join rolecall.permissions on slug = what`;
}

function rowsOf(stored: StoredWorld) {
  const { world, at, number } = stored;
  const hours = (bound: number | null) => (bound === null ? null : (bound - at) * hourMs);
  const users = [...world.users].map(([id, user]) => ({ who: userIn(stored, id), ...user }));
  return {
    users: users.map(({ who, active }) => ({ id: who, active })),
    permissions: [...world.permissions].map(([slug, state]) => ({
      resource: `w${number}`,
      action: slug,
      retired: state === 'retired',
    })),
    roles: everyRole.slice(0, -1).map((role) => ({ key: roleIn(stored, role), name: role })),
    includes: world.includes.map(({ role, included, origin, withheld }) => ({
      role: roleIn(stored, role),
      target: roleIn(stored, included),
      origin,
      withheld,
    })),
    edges: world.edges.map(({ role, permission, origin, withheld }) => ({
      role: roleIn(stored, role),
      target: slugIn(stored, permission),
      origin,
      withheld,
    })),
    grants: users.flatMap(({ who, grants }) =>
      grants.map(({ role, scope, startsAt, expiresAt }, place) => ({
        who,
        role: roleIn(stored, role),
        // A user may hold a role in one scope once for each origin.
        origin: `origin-${place}`,
        scope,
        starts: hours(startsAt),
        expires: hours(expiresAt),
      })),
    ),
    exceptions: users.flatMap(({ who, exceptions }) =>
      exceptions.map(({ permission, effect, scope, startsAt, expiresAt }) => ({
        who,
        what: slugIn(stored, permission),
        effect,
        scope,
        starts: hours(startsAt),
        expires: hours(expiresAt),
      })),
    ),
  };
}
