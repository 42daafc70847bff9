import type { Catalogue } from '../decision/catalogue.ts';
import { allowedAt } from '../decision/effective-access.ts';
import type { ScopeImpact } from '../decision/impact.ts';
import { compileAccess, type UserAccess } from '../decision/user-access.ts';
import { endOf, startOf } from '../grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../ids.ts';

/** What one user gains or loses in one scope and below it, now or later by what is stored; slugs sorted. */
export interface MatrixUserImpact {
  readonly user: UserId;
  readonly scope: Scope;
  readonly permissions: readonly PermissionSlug[];
}

/** Who gains and who loses what, in the order of users and scopes. */
export interface MatrixImpact {
  readonly gains: readonly MatrixUserImpact[];
  readonly losses: readonly MatrixUserImpact[];
}

/** What a change of catalogues can change for anybody: whoever has none of it is not concerned. */
export interface Concern {
  readonly roles: readonly RoleKey[];
  readonly permissions: readonly PermissionSlug[];
}

/** The roles that give other permissions than before, sorted, and all permissions that any of them gains or loses. */
export function concernOf(before: Catalogue, after: Catalogue, roles: Iterable<RoleKey>): Concern {
  const changed = new Set<PermissionSlug>([
    ...missing(before.slugs, after.slugs),
    ...missing(after.slugs, before.slugs),
  ]);
  const concerned: RoleKey[] = [];
  for (const role of roles) {
    const [gave, gives] = [before, after].map((catalogue) =>
      catalogue.slugsIn(catalogue.permissionsOf(role)),
    ) as [PermissionSlug[], PermissionSlug[]];
    const differing = [...missing(gave, gives), ...missing(gives, gave)];
    if (differing.length > 0) concerned.push(role);
    for (const permission of differing) changed.add(permission);
  }
  return { roles: concerned.sort(), permissions: [...changed].sort() };
}

/**
 * Who gains and who loses which of these permissions: by what the decision says at every scope that a user's grants and
 * exceptions name, now and whenever one of them starts or ends. Users who hold the same share one answer.
 */
export function matrixImpactOf(
  before: Catalogue,
  after: Catalogue,
  users: ReadonlyMap<UserId, UserAccess>,
  permissions: readonly PermissionSlug[],
  now: Instant,
): MatrixImpact {
  const numbered = permissions.map((slug) => ({
    slug,
    was: before.numberOf(slug),
    becomes: after.numberOf(slug),
  }));
  const known = new Map<string, readonly ScopeImpact[]>();
  const gains: MatrixUserImpact[] = [];
  const losses: MatrixUserImpact[] = [];
  for (const user of [...users.keys()].sort()) {
    const access = users.get(user) as UserAccess;
    const held = JSON.stringify(access);
    const impact = known.get(held) ?? lastingImpact(before, after, access, numbered, now);
    known.set(held, impact);
    for (const { scope, gained, lost } of impact) {
      if (gained.length > 0) gains.push({ user, scope, permissions: gained });
      if (lost.length > 0) losses.push({ user, scope, permissions: lost });
    }
  }
  return { gains, losses };
}

/** A permission with its number in either catalogue; undefined where it is not registered. */
interface Numbered {
  readonly slug: PermissionSlug;
  readonly was: number | undefined;
  readonly becomes: number | undefined;
}

function lastingImpact(
  before: Catalogue,
  after: Catalogue,
  access: UserAccess,
  permissions: readonly Numbered[],
  now: Instant,
): readonly ScopeImpact[] {
  const held = [...access.grants, ...access.exceptions];
  const scopes = [...new Set(held.map(({ scope }) => scope))].sort();
  const bounds = held.flatMap((one) => [startOf(one), endOf(one)]).filter((bound) => bound > now);
  const instants = [now, ...new Set(bounds.filter(Number.isFinite))];
  const moments = instants.map((at) => ({
    was: compileAccess(before, access, at),
    becomes: compileAccess(after, access, at),
  }));
  return scopes.map((scope) => {
    const sets = moments.map(
      ({ was, becomes }) => [allowedAt(was, scope), allowedAt(becomes, scope)] as const,
    );
    const those = (isMeant: (had: boolean, has: boolean) => boolean) =>
      permissions
        .filter(({ was, becomes }) =>
          sets.some(([had, has]) =>
            isMeant(was !== undefined && had.has(was), becomes !== undefined && has.has(becomes)),
          ),
        )
        .map(({ slug }) => slug);
    return { scope, gained: those((had, has) => !had && has), lost: those((had, has) => had && !has) };
  });
}

/** What of one list the other lacks. */
function missing<Name>(from: readonly Name[], others: readonly Name[]): readonly Name[] {
  const present = new Set(others);
  return from.filter((name) => !present.has(name));
}
