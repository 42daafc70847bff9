/**
 * What each command of a history must do to the world and be answered with, written down from the model a second time.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Change,
  type Kind,
  type Members,
  malformed,
  slugOf,
  termsOf,
  type WindowName,
} from './history-commands.ts';
import { shownEdges, shownException, shownGrant, shownTime } from './history-wire.ts';
import {
  administratorRemains,
  edgeRows,
  exchange,
  type HistoryWorld,
  includeRows,
  isWithheldByLayer,
  keyAt,
  leadsTo,
  settleEdge,
  settleInclude,
  takeOut,
} from './history-world.ts';
import { referencePermissions, type World } from './reference-model.ts';

/** What a command must answer. What it must do, `foretell` has done to the world by then. */
export interface Foretold {
  readonly status: number;
  /** Of a refusal, which changes nothing. */
  readonly code?: string;
  /** The kinds of the journal's entries, sorted; none if nothing changed. */
  readonly entries: readonly string[];
  /** What the answer must hold, among other things. */
  readonly answer: object;
}

/** Does to the world what a command must do to the service. After a refusal the world is of no use any more. */
export function foretell(world: HistoryWorld, change: Change, at: number): Foretold {
  const rule = rules[change.kind] as (world: HistoryWorld, change: Change, at: number) => Foretold;
  const foretold = rule(world, change, at);
  const leavesNobody = foretold.status < 300 && !administratorRemains(world, at);
  return leavesNobody ? refused(409, 'last_administrator') : foretold;
}

type Rule<K extends Kind> = (world: HistoryWorld, change: Members[K], at: number) => Foretold;

const rules: { readonly [K in Kind]: Rule<K> } = {
  'create user': (world, { user, active }) => {
    if (world.users.has(user)) return refused(409, 'user_exists');
    world.users.set(user, { active, grants: [], exceptions: [] });
    return done(['user_created'], { user: { id: user, active, identities: [] } }, 201);
  },

  'set active': (world, { user, active }) => {
    const found = world.users.get(user);
    if (!found) return refused(404, 'unknown_user');
    const flips = found.active !== active;
    found.active = active;
    return done(flips ? ['user_updated'] : [], { user: { id: user, active } });
  },

  'delete user': (world, { user }) => {
    const found = world.users.get(user);
    if (!found) return refused(404, 'unknown_user');
    world.users.delete(user);
    const keys = world.keys.filter((key) => key.user === user && key.state !== 'gone');
    for (const key of keys) key.state = 'gone';
    const ended = [
      ...found.grants.map(() => 'grant_removed'),
      ...found.exceptions.map(() => 'exception_removed'),
      ...keys.map(() => 'key_revoked'),
    ];
    return done([...ended, 'user_deleted'], { user });
  },

  grant: (world, { user, role, scope, window, reason }, at) => {
    if (isUnacceptable(scope, window)) return refused(400, 'invalid_input');
    const holder = world.users.get(user);
    if (!holder) return refused(404, 'unknown_user');
    if (!world.roles.has(role)) return refused(404, 'unknown_role');
    const grant = { role, scope, ...termsOf(window), reason };
    const standing = holder.grants.find((each) => each.role === role && each.scope === scope);
    const access = accessChange(world, user, scope, at, () => exchange(holder.grants, standing, grant));
    const entries = isDeepStrictEqual(standing, grant) ? [] : ['grant_set'];
    return done(entries, { user, grant: shownGrant(user, grant), ...access }, standing ? 200 : 201);
  },

  revoke: (world, { user, role, scope }, at) => {
    if (isUnacceptable(scope)) return refused(400, 'invalid_input');
    const holder = world.users.get(user);
    if (!holder) return refused(404, 'unknown_user');
    if (!world.roles.has(role)) return refused(404, 'unknown_role');
    const standing = holder.grants.find((each) => each.role === role && each.scope === scope);
    const access = accessChange(world, user, scope, at, () => exchange(holder.grants, standing));
    return done(standing ? ['grant_removed'] : [], { user, ...access });
  },

  except: (world, { user, permission, scope, effect, window, reason }, at) => {
    if (isUnacceptable(scope, window)) return refused(400, 'invalid_input');
    const holder = world.users.get(user);
    if (!holder) return refused(404, 'unknown_user');
    const slug = slugOf(permission);
    if (world.permissions.get(slug) !== 'registered') return refused(404, 'unknown_permission');
    const exception = { permission: slug, scope, effect, ...termsOf(window), reason };
    const standing = holder.exceptions.find((each) => each.permission === slug && each.scope === scope);
    const access = accessChange(world, user, scope, at, () =>
      exchange(holder.exceptions, standing, exception),
    );
    const entries = isDeepStrictEqual(standing, exception) ? [] : ['exception_set'];
    return done(
      entries,
      { user, exception: shownException(user, exception), ...access },
      standing ? 200 : 201,
    );
  },

  'end exception': (world, { user, permission, scope }, at) => {
    if (isUnacceptable(scope)) return refused(400, 'invalid_input');
    const holder = world.users.get(user);
    if (!holder) return refused(404, 'unknown_user');
    const slug = slugOf(permission);
    if (world.permissions.get(slug) !== 'registered') return refused(404, 'unknown_permission');
    const standing = holder.exceptions.find((each) => each.permission === slug && each.scope === scope);
    const access = accessChange(world, user, scope, at, () => exchange(holder.exceptions, standing));
    return done(standing ? ['exception_removed'] : [], { user, ...access });
  },

  register: (world, { permissions: wanted }) => {
    if (wanted.some((spelled) => /^rolecall[.:]/.test(spelled))) return refused(400, 'invalid_input');
    const created = [];
    for (const spelled of wanted) {
      const slug = slugOf(spelled);
      const name = spelled.replace(':', '.');
      const known = world.names.get(slug);
      if (known && known.name !== name) return refused(409, 'slug_collision');
      if (world.permissions.get(slug) === 'registered') continue;
      world.permissions.set(slug, 'registered');
      world.names.set(slug, { name, declared: false });
      created.push(slug);
    }
    const entries = created.map(() => 'permission_registered');
    const shown = wanted.map((spelled) => ({ permission: slugOf(spelled), retiredAt: null }));
    if (wanted.length > 1) return done(entries, { created, permissions: shown });
    return done(entries, { permission: shown[0] }, created.length > 0 ? 201 : 200);
  },

  retire: (world, { permission }) => {
    const slug = slugOf(permission);
    const known = world.names.get(slug);
    if (!known) return refused(404, 'unknown_permission');
    const answer = { permission: { permission: slug } };
    if (world.permissions.get(slug) === 'retired') return done([], answer);
    if (known.declared) return refused(409, 'managed_by_matrix');
    world.permissions.set(slug, 'retired');
    const edges = takeOut(world.edges, (row) => row.permission === slug);
    const exceptions = [...world.users.values()].flatMap((each) =>
      takeOut(each.exceptions, (exception) => exception.permission === slug),
    );
    const ended = [...edges.map(() => 'edge_removed'), ...exceptions.map(() => 'exception_removed')];
    return done([...ended, 'permission_retired'], answer);
  },

  'create role': (world, { role }) => {
    if (world.roles.has(role)) return refused(409, 'role_exists');
    world.roles.set(role, { declared: false, system: false });
    return done(['role_created'], { role: { key: role, isSystem: false, declaredIn: null } }, 201);
  },

  'delete role': (world, { role }) => {
    const known = world.roles.get(role);
    if (!known) return refused(404, 'unknown_role');
    if (known.declared) return refused(409, 'managed_by_matrix');
    world.roles.delete(role);
    const grants = [...world.users.values()].flatMap((each) =>
      takeOut(each.grants, (grant) => grant.role === role),
    );
    const edges = takeOut(world.edges, (row) => row.role === role);
    const includes = takeOut(world.includes, (row) => row.role === role || row.included === role);
    const ended = [
      ...grants.map(() => 'grant_removed'),
      ...edges.map(() => 'edge_removed'),
      ...includes.map(() => 'include_removed'),
    ];
    return done([...ended, 'role_deleted'], { role, grantsRemoved: grants.length });
  },

  give: (world, { role, permission }) =>
    changeEdges(world, role, () => {
      const slug = slugOf(permission);
      if (world.permissions.get(slug) !== 'registered') return refused(404, 'unknown_permission');
      if (isWithheldByLayer(edgeRows(world, role, slug))) return refused(409, 'withheld_by_layer');
      return noted('edge', settleEdge(world, role, slug, true));
    }),

  withhold: (world, { role, permission }) =>
    changeEdges(world, role, () => {
      const slug = slugOf(permission);
      if (world.permissions.get(slug) !== 'registered') return refused(404, 'unknown_permission');
      return noted('edge', settleEdge(world, role, slug, false));
    }),

  replace: (world, { role, permissions: wanted, stale }) =>
    changeEdges(world, role, () => {
      if (stale) return refused(412, 'precondition_failed');
      const slugs = [...new Set(wanted.map(slugOf))];
      if (slugs.some((slug) => world.permissions.get(slug) !== 'registered'))
        return refused(404, 'unknown_permission');
      const given = shownEdges(world, role)
        .permissions.filter((edge) => edge.given)
        .map((edge) => edge.permission);
      const lacking = slugs.filter((slug) => !given.includes(slug));
      if (lacking.some((slug) => isWithheldByLayer(edgeRows(world, role, slug))))
        return refused(409, 'withheld_by_layer');
      const superfluous = given.filter((slug) => !slugs.includes(slug));
      return [
        ...lacking.flatMap((slug) => noted('edge', settleEdge(world, role, slug, true))),
        ...superfluous.flatMap((slug) => noted('edge', settleEdge(world, role, slug, false))),
      ];
    }),

  include: (world, { role, other }) =>
    changeEdges(world, role, () => {
      if (!world.roles.has(other)) return refused(404, 'unknown_role');
      if (leadsTo(world, other, role)) return refused(409, 'include_cycle');
      if (isWithheldByLayer(includeRows(world, role, other))) return refused(409, 'withheld_by_layer');
      return noted('include', settleInclude(world, role, other, true));
    }),

  exclude: (world, { role, other }) =>
    changeEdges(world, role, () => {
      if (!world.roles.has(other)) return refused(404, 'unknown_role');
      return noted('include', settleInclude(world, role, other, false));
    }),

  'create key': (world, { user, narrowedTo, window }, at) => {
    if (!world.users.has(user)) return refused(404, 'unknown_user');
    const slugs = narrowedTo?.map(slugOf) ?? null;
    if (slugs?.some((slug) => world.permissions.get(slug) !== 'registered'))
      return refused(404, 'unknown_permission');
    const { expiresAt } = termsOf(window);
    if (expiresAt !== null && expiresAt <= at) return refused(400, 'invalid_input');
    world.keys.push({ user, narrowedTo: slugs, state: 'good' });
    return done(
      ['key_created'],
      { user, permissions: slugs, expiresAt: shownTime(expiresAt), revokedAt: null },
      201,
    );
  },

  'revoke key': (world, { which }) => {
    const key = keyAt(world, which);
    if (!key || key.state === 'gone') return refused(404, 'unknown_key');
    const entries = key.state === 'good' ? ['key_revoked'] : [];
    key.state = 'revoked';
    return done(entries, { id: key.id, user: key.user });
  },
};

function done(entries: readonly string[], answer: object, status = 200): Foretold {
  return { status, entries: [...entries].sort(), answer };
}

function refused(status: number, code: string): Foretold {
  return { status, code, entries: [], answer: {} };
}

function isUnacceptable(scope: string, window: WindowName = 'always'): boolean {
  const { startsAt, expiresAt } = termsOf(window);
  return scope === malformed || (startsAt !== null && expiresAt !== null && startsAt >= expiresAt);
}

/** What a user may do in a scope after a change, and what that change gave and took there. */
function accessChange(world: World, user: string, scope: string, at: number, change: () => void) {
  const before = referencePermissions(world, user, scope, at);
  change();
  const after = referencePermissions(world, user, scope, at);
  return {
    permissions: after,
    gained: after.filter((slug) => !before.includes(slug)),
    lost: before.filter((slug) => !after.includes(slug)),
  };
}

/** A change of what a role gives or includes, answered with how the role then is. */
function changeEdges(world: HistoryWorld, role: string, change: () => string[] | Foretold): Foretold {
  const known = world.roles.get(role);
  if (!known) return refused(404, 'unknown_role');
  if (known.system) return refused(409, 'managed_by_matrix');
  const changed = change();
  return Array.isArray(changed) ? done(changed, shownEdges(world, role)) : changed;
}

/** The journal's entry of what became of the API's own row; a tombstone is a row that is set. */
function noted(noun: 'edge' | 'include', became: 'set' | 'removed' | undefined): string[] {
  return became === undefined ? [] : [`${noun}_${became}`];
}
