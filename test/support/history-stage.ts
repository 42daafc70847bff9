/** Where a random history plays: the whole service on a database of its own, and the world as it is at the beginning. */
import type { InjectOptions } from 'fastify';
import type postgres from 'postgres';
import type { HistoryUser, HistoryWorld } from './history-world.ts';
import type { Answer } from './over-http.ts';
import { type Build, soundBuild, startReplicas } from './replicas.ts';

export interface Stage {
  /** The answer to a request, by `root` if no other key is named. Of several replicas, each answers in its turn. */
  request(options: InjectOptions, key?: string): Promise<Answer>;
  /** What a question says so that its answer is as of this revision: nothing, where every answer is. */
  asOf(revision: string): { readonly atLeast?: string };
  /** Past the service, to see what is stored. */
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly build?: Build;
  readonly replicas?: number;
  /** Whether every question names the revision that it must have, and nothing else keeps its answer current. */
  readonly byRevision?: boolean;
  /** Whether a second layer is stored past the service, of which the journal knows nothing. */
  readonly site?: boolean;
}

/** A replica that is asked for nothing else answers for a minute from what it has. */
const longLease = { ROLECALL_FRESHNESS: 'lease', ROLECALL_LEASE_MS: '60000' };

/** `root` is made by the sound build, whichever is tried: a history begins where administrators begin. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { build = soundBuild, replicas: count = 1, byRevision = false, site = true } = options;
  const { replicas, sql, close } = await startReplicas(count, {
    build,
    variables: byRevision ? longLease : {},
  });
  if (site) await addSiteLayer(sql);
  let turn = 0;
  return {
    sql,
    request: (asked, key) => {
      const [replica] = replicas.slice(turn++ % count);
      if (!replica) throw new Error('there is no replica');
      return replica.request(asked, key);
    },
    asOf: (revision) => (byRevision ? { atLeast: revision } : {}),
    close,
  };
}

/** A second layer, which gives what the first gives too, and withholds: stored as no file can say it yet. */
async function addSiteLayer(sql: postgres.Sql): Promise<void> {
  await sql`
    insert into rolecall.role_permissions (role_pk, permission_pk, origin, withheld)
    select roles.pk, permissions.pk, 'site', withheld
    from (values ('loader', 'documents_view_document', false), ('manager', 'orders_approve_order', true))
      as row (role, permission, withheld)
    join rolecall.roles on roles.key = role join rolecall.permissions on permissions.slug = permission`;
  await sql`
    insert into rolecall.role_includes (role_pk, included_pk, origin, withheld)
    select holder.pk, included.pk, 'site', withheld
    from (values ('manager', 'viewer', false), ('loader', 'viewer', true)) as row (role, other, withheld)
    join rolecall.roles as holder on holder.key = role join rolecall.roles as included on included.key = other`;
}

/** The world as the database has it. */
export async function readWorld(sql: postgres.Sql): Promise<HistoryWorld> {
  const permissions = await sql<{ slug: string; name: string; declared: boolean; retired: boolean }[]>`
    select slug, resource || '.' || action as name, declared_in is not null as declared,
      retired_at is not null as retired
    from rolecall.permissions`;
  const roles = await sql<{ key: string; declared: boolean; system: boolean }[]>`
    select key, declared_in is not null as declared, is_system as system from rolecall.roles`;
  const includes = await sql<HistoryWorld['includes']>`
    select holder.key as role, included.key as included, origin, withheld from rolecall.role_includes
    join rolecall.roles as holder on holder.pk = role_pk join rolecall.roles as included on included.pk = included_pk`;
  const edges = await sql<HistoryWorld['edges']>`
    select key as role, slug as permission, origin, withheld from rolecall.role_permissions
    join rolecall.roles on roles.pk = role_pk join rolecall.permissions on permissions.pk = permission_pk`;
  const window = sql`'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000,
    'reason', reason`;
  const users = await sql<(HistoryUser & { id: string })[]>`
    select id, active, array(
      select json_build_object('role', key, 'scope', scope, ${window})
      from rolecall.user_roles join rolecall.roles on roles.pk = role_pk where user_pk = users.pk) as grants, array(
      select json_build_object('permission', slug, 'scope', scope, 'effect', effect, ${window})
      from rolecall.user_permissions join rolecall.permissions on permissions.pk = permission_pk
      where user_pk = users.pk) as exceptions
    from rolecall.users`;
  return {
    permissions: new Map(permissions.map(({ slug, retired }) => [slug, retired ? 'retired' : 'registered'])),
    names: new Map(permissions.map(({ slug, name, declared }) => [slug, { name, declared }])),
    roles: new Map(roles.map(({ key, declared, system }) => [key, { declared, system }])),
    includes: [...includes],
    edges: [...edges],
    users: new Map(users.map(({ id, ...user }) => [id, user])),
    keys: [],
  };
}
