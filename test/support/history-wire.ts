/** How the commands of a history are said over HTTP, and how the service shows what then stands. */
import { type Change, type Terms, termsOf } from './history-commands.ts';
import { distinct, type HistoryUser, type HistoryWorld, keyAt } from './history-world.ts';
import type { World } from './reference-model.ts';

export interface WriteRequest {
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly scope?: string;
  readonly body?: object;
}

/** How a command is said over HTTP. */
export function requestOf(change: Change, world: HistoryWorld): WriteRequest {
  const at = (...segments: string[]) => `/${segments.map(encodeURIComponent).join('/')}`;
  switch (change.kind) {
    case 'create user':
      return { method: 'POST', path: '/users', body: { id: change.user, active: change.active } };
    case 'set active':
      return { method: 'PATCH', path: at('users', change.user), body: { active: change.active } };
    case 'delete user':
      return { method: 'DELETE', path: at('users', change.user) };
    case 'grant':
      return {
        method: 'PUT',
        path: at('users', change.user, 'roles', change.role),
        scope: change.scope,
        body: termsSaid(change),
      };
    case 'revoke':
      return { method: 'DELETE', path: at('users', change.user, 'roles', change.role), scope: change.scope };
    case 'except': {
      const body = { effect: change.effect, ...termsSaid(change) };
      return {
        method: 'PUT',
        path: at('users', change.user, 'permissions', change.permission),
        scope: change.scope,
        body,
      };
    }
    case 'end exception':
      return {
        method: 'DELETE',
        path: at('users', change.user, 'permissions', change.permission),
        scope: change.scope,
      };
    case 'register': {
      const wanted = change.permissions.map((name) => ({ permission: name }));
      return wanted.length === 1
        ? { method: 'POST', path: '/permissions', body: { ...wanted[0] } }
        : { method: 'POST', path: '/permissions/batch', body: { permissions: wanted } };
    }
    case 'retire':
      return { method: 'DELETE', path: at('permissions', change.permission) };
    case 'create role':
      return { method: 'POST', path: '/roles', body: { key: change.role, name: change.role } };
    case 'delete role':
      return { method: 'DELETE', path: at('roles', change.role) };
    case 'give':
      return { method: 'PUT', path: at('roles', change.role, 'permissions', change.permission) };
    case 'withhold':
      return { method: 'DELETE', path: at('roles', change.role, 'permissions', change.permission) };
    case 'replace':
      return {
        method: 'PUT',
        path: at('roles', change.role, 'permissions'),
        body: { permissions: change.permissions },
      };
    case 'include':
      return { method: 'PUT', path: at('roles', change.role, 'includes', change.other) };
    case 'exclude':
      return { method: 'DELETE', path: at('roles', change.role, 'includes', change.other) };
    case 'create key': {
      const body = {
        user: change.user,
        name: 'k',
        permissions: change.narrowedTo,
        expiresAt: shownTimes(termsOf(change.window)).expiresAt,
      };
      return { method: 'POST', path: '/keys', body };
    }
    case 'revoke key':
      return { method: 'DELETE', path: at('keys', keyAt(world, change.which)?.id ?? '000000000000') };
  }
}

/** The terms as a body says them; what is not said is not limited. */
function termsSaid({ window, reason }: Terms): object {
  const { startsAt, expiresAt } = shownTimes(termsOf(window));
  return { ...(startsAt && { startsAt }), ...(expiresAt && { expiresAt }), ...(reason && { reason }) };
}

/** Times as they travel. */
function shownTimes({ startsAt, expiresAt }: { startsAt: number | null; expiresAt: number | null }) {
  return { startsAt: shownTime(startsAt), expiresAt: shownTime(expiresAt) };
}

export function shownTime(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}

/** A grant as the service shows it. */
export function shownGrant(user: string, grant: HistoryUser['grants'][number]) {
  return { user, ...grant, ...shownTimes(grant), origin: 'api' };
}

/** An exception as the service shows it. */
export function shownException(user: string, exception: HistoryUser['exceptions'][number]) {
  return { user, ...exception, ...shownTimes(exception) };
}

/** A role's own edges and includes as the service shows them. */
export function shownEdges(world: World, role: string) {
  const own = world.edges.filter((row) => row.role === role);
  const included = world.includes.filter((row) => row.role === role);
  const withheld = included.filter((row) => row.withheld).map((row) => row.included);
  return {
    role,
    permissions: distinct(own.map((row) => row.permission)).map((permission) => {
      const rows = own.filter((row) => row.permission === permission);
      const origins = rows
        .filter((row) => !row.withheld)
        .map((row) => row.origin)
        .sort();
      const withheldBy = rows
        .filter((row) => row.withheld)
        .map((row) => row.origin)
        .sort();
      return { permission, given: origins.length > 0 && withheldBy.length === 0, origins, withheldBy };
    }),
    includes: distinct(included.map((row) => row.included)).filter((key) => !withheld.includes(key)),
  };
}
