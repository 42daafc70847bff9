import type { Deviation } from '../../domain/matrix/changes.ts';
import type { Provenance, TracedDeviation } from '../../domain/matrix/plan.ts';
import type { ReadHandle, Sql } from '../database.ts';

/** What in the journal brought a deviation about, by names. */
interface Trace {
  readonly number: number;
  readonly kinds: readonly string[];
  readonly role: string | null;
  readonly permission: string | null;
  readonly included: string | null;
}

const unknown: Provenance = { actor: null, by: null, at: null };

/** Adds to each deviation who last changed it and when, by the journal; in the order given. */
export async function traceDeviations(
  { sql }: ReadHandle,
  deviations: readonly Deviation[],
): Promise<readonly TracedDeviation[]> {
  const traces = deviations.map(traceOf);
  const found = new Map<number, Provenance>();
  const ofRoles = traces.filter(({ role }) => role !== null);
  const ofPermissions = traces.filter(({ role }) => role === null);
  for (const { number, ...provenance } of [
    ...(await lastChanges(sql, ofRoles, sql`journal.role_pk = roles.pk`)),
    ...(await lastChanges(sql, ofPermissions, sql`journal.permission_pk = permissions.pk`)),
  ])
    found.set(number, provenance);
  return deviations.map((deviation, number) => ({
    ...deviation,
    changed: found.get(number) ?? unknown,
  }));
}

function traceOf(deviation: Deviation, number: number): Trace {
  const nothing = { number, role: null, permission: null, included: null };
  switch (deviation.kind) {
    case 'edge': {
      const { role, permission } = deviation;
      return { ...nothing, kinds: ['edge_set', 'edge_removed'], role, permission };
    }
    case 'include': {
      const { role, included } = deviation;
      return { ...nothing, kinds: ['include_set', 'include_removed'], role, included };
    }
    case 'role_words':
      return { ...nothing, kinds: ['role_updated'], role: deviation.role };
    case 'undeclared_role':
      return { ...nothing, kinds: ['role_created', 'role_updated'], role: deviation.role };
    case 'undeclared_permission':
      return {
        ...nothing,
        kinds: ['permission_registered', 'permission_updated'],
        permission: deviation.permission.slug,
      };
  }
}

/** The newest entry for each trace, found through the index of what `isAbout` compares. Edges: the API's own rows only. */
function lastChanges(
  sql: Sql,
  traces: readonly Trace[],
  isAbout: ReturnType<Sql>,
): Promise<readonly (Provenance & { number: number })[]> | readonly never[] {
  if (traces.length === 0) return [];
  return sql<(Provenance & { number: number })[]>`
    select wanted.number, last.actor_kind as actor,
      coalesce((select id from rolecall.users where users.pk = last.actor_pk),
        (select value from rolecall.personal where user_pk = last.actor_pk and field = 'id' limit 1)) as by,
      to_char(last.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
    from jsonb_to_recordset(${JSON.stringify(traces)}::text::jsonb)
      as wanted (number int, kinds text[], role text, permission text, included text)
    left join rolecall.roles on key = wanted.role
    left join rolecall.permissions on slug = wanted.permission
    join lateral (
      select actor_kind, actor_pk, time from rolecall.journal
      where ${isAbout} and kind = any(wanted.kinds)
        and (wanted.permission is null or journal.permission_pk = permissions.pk)
        and (wanted.included is null or coalesce(after, before) ->> 'included' = wanted.included)
        and coalesce(coalesce(after, before) ->> 'origin', 'api') = 'api'
      order by revision desc, journal.number desc limit 1) as last on true`;
}
