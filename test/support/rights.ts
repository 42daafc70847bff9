/** Who may do what where, as texts, by the reference model and by the database's own functions. */
import type postgres from 'postgres';
import type { MatrixUserImpact } from '../../src/domain/matrix/impact.ts';
import { referencePermissions, type World } from './reference-model.ts';

/** By instant: each right as a text. */
type Rights = ReadonlyMap<number, ReadonlySet<string>>;

const textOf = (user: string, scope: string, permission: string) => `${user} "${scope}" ${permission}`;
/** What the service is about and nobody's grants give in these tests. */
const isOwn = (permission: string) => permission.startsWith('rolecall_');

/** Where somebody of this world has something, and now and whenever any of it starts or ends. */
function questionsOf({ users }: World, now: number) {
  return [...users].flatMap(([user, { grants, exceptions }]) => {
    const held = [...grants, ...exceptions];
    const bounds = held.flatMap(({ startsAt, expiresAt }) => [startsAt ?? now, expiresAt ?? now]);
    const instants = new Set([now, ...bounds.filter((bound) => bound > now)]);
    return [...new Set(held.map(({ scope }) => scope))].map((scope) => ({ user, scope, instants }));
  });
}

/** Rights in one world wherever and whenever anything of another changes. */
export function rightsIn(world: World, asked: World, now: number): Rights {
  const rights = new Map([[now, new Set<string>()]]);
  for (const { user, scope, instants } of questionsOf(asked, now))
    for (const at of instants) {
      const known = rights.get(at) ?? new Set();
      rights.set(at, known);
      for (const permission of referencePermissions(world, user, scope, at))
        if (!isOwn(permission)) known.add(textOf(user, scope, permission));
    }
  return rights;
}

/** What of one the other lacks at the same instant. */
export function besides(rights: Rights, others: Rights): ReadonlySet<string> {
  return new Set([...rights].flatMap(([at, all]) => [...all].filter((one) => !others.get(at)?.has(one))));
}

export function listed(impacts: readonly MatrixUserImpact[]): ReadonlySet<string> {
  return new Set(
    impacts.flatMap(({ user, scope, permissions }) =>
      permissions.map((permission) => textOf(user, scope, permission)),
    ),
  );
}

/** The rights now as the database says them, wherever anybody of a world has something. */
export async function allowedNow(sql: postgres.Sql, asked: World): Promise<ReadonlySet<string>> {
  const places = questionsOf(asked, 0).map(({ user, scope }) => ({ user, scope }));
  const rows = await sql<{ user: string; scope: string; permission: string }[]>`
    select "user", scope, slug as permission
    from jsonb_to_recordset(${JSON.stringify(places)}::text::jsonb) as place ("user" text, scope text)
    cross join rolecall.permissions
    where rolecall.has_permission("user", slug, scope)`;
  return new Set(
    rows.flatMap(({ user, scope, permission }) =>
      isOwn(permission) ? [] : [textOf(user, scope, permission)],
    ),
  );
}
