import { Catalogue } from '../../domain/decision/catalogue.ts';
import { type Impact, ImpactCount, impactOn } from '../../domain/decision/impact.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Instant, RoleKey, UserId } from '../../domain/ids.ts';
import { changesCatalogue, type JournalEntry } from '../../domain/journal-entries.ts';
import type { Sight } from '../../domain/sight.ts';
import type { Sql } from '../database.ts';
import { loadChanges } from './changes.ts';
import { readMoment } from './moment.ts';

interface PersonRow {
  readonly pk: number;
  readonly id: UserId;
  readonly access: UserAccess;
}

const readAtOnce = 2_000;

/**
 * What a change, made in this transaction and noted as `entries`, does to what users may do. Reads the state
 * with the change, calls `undo`, which takes the change back, and reads the state without it. Compares the
 * users whom the entries name, and of everybody else those who were granted a changed role or one that
 * includes it. A change of grants alone leaves the meaning of roles, and so everybody else, as it was.
 */
export async function impactOf(
  sql: Sql,
  entries: readonly JournalEntry[],
  sight: Sight,
  undo: () => Promise<unknown>,
): Promise<Impact> {
  const named = [...new Set(entries.flatMap(({ userPk }) => userPk ?? []))];
  const count = new ImpactCount(sight);
  if (entries.length === 0) return count.total();
  const movesCatalogue = entries.some(({ kind }) => changesCatalogue(kind));
  const rolePks = movesCatalogue ? [...new Set(entries.flatMap(({ rolePk }) => rolePk ?? []))] : [];
  const { now } = await readMoment(sql);
  const after = await standing(sql, named, rolePks);
  await undo();
  const before = await standing(sql, named, rolePks, movesCatalogue ? undefined : after.catalogue);
  const compare = (id: UserId, had: UserAccess | undefined, has: UserAccess | undefined, at: Instant) =>
    count.add(
      id,
      impactOn(
        { catalogue: before.catalogue, access: had, at },
        { catalogue: after.catalogue, access: has, at },
      ),
    );
  const everybody = new Map([...after.people, ...before.people].map(([pk, { id }]) => [pk, id]));
  for (const [pk, id] of everybody)
    compare(id, before.people.get(pk)?.access, after.people.get(pk)?.access, now);
  const changed = [...before.roles, ...after.roles];
  if (changed.length === 0) return count.total();
  const roles = (await allRoles(sql)).filter((role) =>
    changed.some(
      (key) => before.catalogue.closureOf(role).has(key) || after.catalogue.closureOf(role).has(key),
    ),
  );
  for await (const { pk, id, access } of holdersOf(sql, roles))
    if (!everybody.has(pk)) compare(id, access, access, now);
  return count.total();
}

async function standing(sql: Sql, pks: readonly number[], rolePks: readonly number[], known?: Catalogue) {
  const [catalogue, people, roles] = await Promise.all([
    known ?? loadCatalogue(sql),
    peopleWhere(
      sql,
      sql`users.pk in (select value::bigint from jsonb_array_elements_text(${json(pks)}::text::jsonb))`,
    ),
    sql<{ key: RoleKey }[]>`
      select key from rolecall.roles
      where pk in (select value::bigint from jsonb_array_elements_text(${json(rolePks)}::text::jsonb))`,
  ]);
  return {
    catalogue,
    people: new Map(people.map((person) => [person.pk, person])),
    roles: roles.map(({ key }) => key),
  };
}

async function loadCatalogue(sql: Sql): Promise<Catalogue> {
  const { catalogue } = await loadChanges(sql);
  if (!catalogue) throw new Error('the catalogue was not read');
  return new Catalogue(catalogue);
}

async function allRoles(sql: Sql): Promise<readonly RoleKey[]> {
  return (await sql<{ key: RoleKey }[]>`select key from rolecall.roles`).map(({ key }) => key);
}

/** Everybody with a grant of one of the roles, so many at a time. */
async function* holdersOf(sql: Sql, roles: readonly RoleKey[]): AsyncGenerator<PersonRow> {
  for (let after = 0; ; ) {
    const page = await peopleWhere(
      sql,
      sql`users.pk in (
        select user_pk from rolecall.user_roles join rolecall.roles on roles.pk = role_pk
        where key = any(${[...roles]}::text[]) and user_pk > ${after}
        group by user_pk order by user_pk limit ${readAtOnce})`,
    );
    yield* page;
    const last = page.at(-1);
    if (page.length < readAtOnce || !last) return;
    after = last.pk;
  }
}

async function peopleWhere(sql: Sql, condition: ReturnType<Sql>): Promise<readonly PersonRow[]> {
  const rows = await sql<(UserAccess & { pk: number; id: UserId })[]>`
    select users.pk::float8 as pk, id, active,
      (select coalesce(json_agg(json_build_object('role', key, 'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from rolecall.user_roles join rolecall.roles on roles.pk = role_pk where user_pk = users.pk) as grants,
      (select coalesce(json_agg(json_build_object('permission', slug, 'effect', effect, 'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from rolecall.user_permissions join rolecall.permissions on permissions.pk = permission_pk
        where user_pk = users.pk) as exceptions
    from rolecall.users where ${condition} order by users.pk`;
  return rows.map(({ pk, id, ...access }) => ({ pk, id, access }));
}

const json = (values: readonly number[]) => JSON.stringify(values);
