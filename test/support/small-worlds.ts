/** Small worlds that a database accepts, beside whatever it has, and how they get there. */
import fc from 'fast-check';
import type postgres from 'postgres';
import type { ReferenceUser, World } from './reference-model.ts';

export const permissions = ['w_view', 'w_view_all', 'w_c_d'];
export const neverRegistered = 'w_nothing';
/** A role includes later ones only, so that there is no circle. */
export const roles = ['w-a', 'w-b', 'w-c', 'w-d', 'w-e'];
export const users = ['w|ada', 'w|Ada', 'w|bo', 'w|cy', 'w|di'];
export const scopes = ['', 'org', 'org/ac', 'org/acme', 'org/acme/billing', 'org/acme-x', 'habits'];

const hour = 3_600_000;
const bound = fc.option(fc.constantFrom(-2 * hour, -hour, hour, 2 * hour), { freq: 2 });
const window = fc
  .record({ startsAt: bound, expiresAt: bound })
  .filter(({ startsAt, expiresAt }) => startsAt === null || expiresAt === null || startsAt < expiresAt);
const full = { size: 'max' } as const;
const heldScope = fc.constantFrom('', 'org', 'org/acme', ...scopes);
const origin = fc.constantFrom('builtin', 'baseline', 'api');
const withheld = fc.constantFrom(true, ...Array<boolean>(7).fill(false));

const grants = fc.uniqueArray(
  fc
    .record({ role: fc.constantFrom(...roles), scope: heldScope, window })
    .map(({ role, scope, window: { startsAt, expiresAt } }) => ({ role, scope, startsAt, expiresAt })),
  { ...full, maxLength: 5, selector: ({ role, scope }) => `${role} ${scope}` },
);

const exceptions = fc.uniqueArray(
  fc
    .record({
      permission: fc.constantFrom(...permissions),
      scope: heldScope,
      effect: fc.constantFrom('allow', 'deny'),
      window,
    })
    .map(({ window: { startsAt, expiresAt }, ...held }) => ({ ...held, startsAt, expiresAt })),
  { ...full, maxLength: 3, selector: ({ permission, scope }) => `${permission} ${scope}` },
);

const user: fc.Arbitrary<ReferenceUser> = fc.record({
  active: fc.constantFrom(false, ...Array<boolean>(9).fill(true)),
  grants,
  exceptions,
});

const state = fc.constantFrom('retired' as const, ...Array<'registered'>(9).fill('registered'));

/** Times are in milliseconds from now: `worldAt` puts them on the clock. */
export const storedWorlds: fc.Arbitrary<World> = fc.record({
  permissions: fc
    .tuple(...permissions.map(() => state))
    .map((states) => new Map(permissions.map((name, index) => [name, states[index] ?? 'registered']))),
  users: fc
    .tuple(...users.map(() => user))
    .map((all) => new Map(users.map((id, index) => [id, all[index] as ReferenceUser]))),
  includes: fc
    .uniqueArray(
      fc.record({
        role: fc.constantFrom(...roles),
        included: fc.constantFrom(...roles),
        origin,
        withheld,
      }),
      { ...full, maxLength: 12, selector: (row) => `${row.role} ${row.included} ${row.origin}` },
    )
    .map((rows) => rows.filter((row) => row.role < row.included)),
  edges: fc.uniqueArray(
    fc.record({
      role: fc.constantFrom(...roles),
      permission: fc.constantFrom(...permissions),
      origin,
      withheld,
    }),
    { ...full, maxLength: 10, selector: (row) => `${row.role} ${row.permission} ${row.origin}` },
  ),
});

/** The same world with its times on the clock. */
export function worldAt(world: World, now: number): World {
  const onClock = <T extends { startsAt: number | null; expiresAt: number | null }>(held: T): T => ({
    ...held,
    startsAt: held.startsAt === null ? null : now + held.startsAt,
    expiresAt: held.expiresAt === null ? null : now + held.expiresAt,
  });
  const everybody = [...world.users].map(([id, { active, ...has }]): [string, ReferenceUser] => [
    id,
    { active, grants: has.grants.map(onClock), exceptions: has.exceptions.map(onClock) },
  ]);
  return { ...world, users: new Map(everybody) };
}

/** Puts a world in the place of the one before, past the service, as a change of everything. */
export async function storeWorld(sql: postgres.Sql, world: World): Promise<void> {
  const held = [...world.users].flatMap(([id, { grants: given }]) => given.map((one) => ({ id, ...one })));
  const excepted = [...world.users].flatMap(([id, has]) => has.exceptions.map((one) => ({ id, ...one })));
  const people = [...world.users].map(([id, { active }]) => ({ id, active }));
  const names = [...world.permissions].map(([slug, is]) => ({
    action: slug.slice(2),
    retired: is === 'retired',
  }));
  const rows = (list: readonly object[]) => sql`${JSON.stringify(list)}::text::jsonb`;
  const time = (column: string) => sql`to_timestamp(${sql(column)} / 1000)`;
  await sql.begin((tx) => [
    tx`delete from rolecall.user_roles where user_pk in (select pk from rolecall.users where id like 'w|%')`,
    tx`delete from rolecall.user_permissions where user_pk in (select pk from rolecall.users where id like 'w|%')`,
    tx`delete from rolecall.users where id like 'w|%'`,
    tx`delete from rolecall.role_includes where role_pk in (select pk from rolecall.roles where key like 'w-%')`,
    tx`delete from rolecall.role_permissions where role_pk in (select pk from rolecall.roles where key like 'w-%')`,
    tx`insert into rolecall.roles (key, name) select role, role from unnest(${roles}::text[]) as role
      on conflict do nothing`,
    tx`insert into rolecall.permissions (resource, action, retired_at)
      select 'w', action, case when retired then now() end from jsonb_to_recordset(${rows(names)})
        as row (action text, retired boolean)
      on conflict (slug) do update set retired_at = excluded.retired_at`,
    tx`insert into rolecall.role_includes (role_pk, included_pk, origin, withheld)
      select holder.pk, other.pk, origin, withheld from jsonb_to_recordset(${rows(world.includes)})
        as row (role text, included text, origin text, withheld boolean)
      join rolecall.roles as holder on holder.key = role join rolecall.roles as other on other.key = included`,
    tx`insert into rolecall.role_permissions (role_pk, permission_pk, origin, withheld)
      select roles.pk, permissions.pk, origin, withheld from jsonb_to_recordset(${rows(world.edges)})
        as row (role text, permission text, origin text, withheld boolean)
      join rolecall.roles on key = role join rolecall.permissions on slug = permission`,
    tx`insert into rolecall.users (id, active)
      select id, active from rows from (jsonb_to_recordset(${rows(people)}) as (id text, active boolean))
        with ordinality as row (id, active, place) order by place`,
    tx`insert into rolecall.user_roles (user_pk, role_pk, scope, starts_at, expires_at, reason, granted_by)
      select users.pk, roles.pk, scope, ${time('startsAt')}, ${time('expiresAt')}, role || ' in ' || scope,
        (select pk from rolecall.users where id = 'root')
      from jsonb_to_recordset(${rows(held)})
        as row (id text, role text, scope text, "startsAt" float8, "expiresAt" float8)
      join rolecall.users using (id) join rolecall.roles on key = role`,
    tx`insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope, starts_at, expires_at, reason)
      select users.pk, permissions.pk, effect, scope, ${time('startsAt')}, ${time('expiresAt')}, effect
      from jsonb_to_recordset(${rows(excepted)})
        as row (id text, permission text, effect text, scope text, "startsAt" float8, "expiresAt" float8)
      join rolecall.users using (id) join rolecall.permissions on slug = permission`,
    tx`update rolecall.revision set value = value + 1, catalogue_value = value + 1`,
  ]);
}
