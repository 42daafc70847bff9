import type { RoleKey } from '../ids.ts';
import type { Deviation, LiveMatrix, LiveRole, MatrixChange, Preference, RoleWords } from './changes.ts';
import { isByApi, type MergedMatrix, type RoleIdentity, refuseCollision } from './layers.ts';

/** The permissions that must be made, revived or described anew. Throws `slug_collision`. */
export function declarePermissions(declared: MergedMatrix, live: LiveMatrix): MatrixChange[] {
  const existing = new Map(live.permissions.map((permission) => [permission.slug, permission]));
  const wanted = [...declared.permissions.values()].sort((a, b) =>
    a.permission.slug < b.permission.slug ? -1 : 1,
  );
  return wanted.flatMap(({ permission, layer }): MatrixChange[] => {
    const { slug, description } = permission;
    const row = existing.get(slug);
    if (row) refuseCollision(permission, row, slug);
    if (row === undefined || row.retired || row.declaredIn !== layer)
      return [{ kind: 'permission_declared', permission, layer, revives: row !== undefined }];
    if (row.description === description) return [];
    return [{ kind: 'permission_described', slug, before: row.description, after: description }];
  });
}

export interface RolesDifference {
  readonly changes: MatrixChange[];
  readonly kept: Deviation[];
  readonly conflicts: Deviation[];
}

/**
 * The roles that must be made, taken over or called something else. What somebody called a role through the API stays
 * until the layers call it something else than when they were last applied; then it is a conflict.
 */
export function declareRoles(
  declared: MergedMatrix,
  applied: MergedMatrix,
  live: LiveMatrix,
  accept: Preference | undefined,
): RolesDifference {
  const existing = new Map(live.roles.map((role) => [role.key, role]));
  const difference: RolesDifference = { changes: [], kept: [], conflicts: [] };
  const wanted = [...declared.roles.values()].sort((a, b) => (a.role.key < b.role.key ? -1 : 1));
  for (const { role: wish, layer } of wanted) {
    const row = existing.get(wish.key);
    const opposed = row && standsAgainst(row, wish, applied.roles.get(wish.key)?.role);
    if (row && opposed) {
      const deviation = { kind: 'role_words', role: wish.key, live: wordsOf(row), declared: wordsOf(wish) };
      difference[opposed].push(deviation as Deviation);
    }
    const stays = opposed === 'kept' || (opposed === 'conflicts' && accept !== 'matrix');
    const role = row && stays ? { ...wish, ...wordsOf(row) } : wish;
    if (row === undefined || row.declaredIn !== layer)
      difference.changes.push({ kind: 'role_declared', role, layer, revives: row !== undefined });
    else if (!sameWords(row, role) || row.isSystem !== role.isSystem)
      difference.changes.push({
        kind: 'role_described',
        key: role.key,
        before: identityOf(row),
        after: role,
      });
  }
  return difference;
}

/** Whether the words that a role has are somebody's own, and stay or are in conflict with new ones of the layers. */
function standsAgainst(
  row: LiveRole,
  wish: RoleIdentity,
  before: RoleIdentity | undefined,
): 'kept' | 'conflicts' | undefined {
  if (sameWords(row, wish) || wish.isSystem || before === undefined) return undefined;
  if (sameWords(wish, before)) return 'kept';
  return sameWords(row, before) ? undefined : 'conflicts';
}

/** The roles that no layer declares any more. */
export function undeclareRoles(
  declared: MergedMatrix,
  { roles, includes, edges }: LiveMatrix,
): { readonly kind: 'role_undeclared' | 'role_removed'; readonly key: RoleKey }[] {
  const byApi = [...includes, ...edges].filter(isByApi);
  const touched = new Set(
    byApi.flatMap((row) => ('included' in row ? [row.role, row.included] : [row.role])),
  );
  return roles
    .filter(({ key, declaredIn }) => declaredIn !== null && !declared.roles.has(key))
    .map(({ key, held }) => ({
      kind: held || touched.has(key) ? ('role_undeclared' as const) : ('role_removed' as const),
      key,
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

function sameWords(a: RoleWords, b: RoleWords): boolean {
  return a.name === b.name && a.description === b.description;
}

function wordsOf({ name, description }: RoleWords): RoleWords {
  return { name, description };
}

/** Only what a change tells: a row of the database may carry more. */
function identityOf({ key, name, description, isSystem }: RoleIdentity): RoleIdentity {
  return { key, name, description, isSystem };
}
