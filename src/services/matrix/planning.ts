import type { RoleKey } from '../../domain/ids.ts';
import { catalogueAfter, catalogueOf } from '../../domain/matrix/after.ts';
import { builtinLayer } from '../../domain/matrix/builtin.ts';
import type { LiveMatrix, MatrixChange, Preference } from '../../domain/matrix/changes.ts';
import { diffMatrix } from '../../domain/matrix/diff.ts';
import type { MatrixLayer } from '../../domain/matrix/document.ts';
import { concernOf, type MatrixImpact, matrixImpactOf } from '../../domain/matrix/impact.ts';
import type { LeftRole, MatrixPlan, Retirement } from '../../domain/matrix/plan.ts';
import { type Acknowledgement, nearTwins } from '../../domain/matrix/twins.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { holdersOfRoles, type StoredMatrix, usersConcerned, usersExcepted } from '../../storage/matrix.ts';
import { traceDeviations } from '../../storage/read-models/provenance.ts';
import { loadUsers } from '../../storage/read-models/user-rows.ts';

/** What the files say, and which side wins where somebody changed the same thing past the matrix. */
export interface Intent {
  /** The baseline and the layers on top of it; what is built in comes by itself. */
  readonly layers: readonly MatrixLayer[];
  readonly accept?: Preference | undefined;
  readonly acknowledged?: readonly Acknowledgement[];
}

/** All layers of an intent, in their order. */
export function layersOf({ layers }: Intent): readonly MatrixLayer[] {
  return [builtinLayer, ...layers];
}

/** Which layers of an intent are not as they were last applied, and the ids of those that are gone. */
export function movedLayers(intent: Intent, applied: readonly MatrixLayer[]) {
  const declared = layersOf(intent);
  const hashes = new Map(applied.map(({ id, contentHash }) => [id, contentHash]));
  const ids = new Set(declared.map(({ id }) => id));
  return {
    moved: declared.filter(({ id, contentHash }) => hashes.get(id) !== contentHash),
    gone: applied.map(({ id }) => id).filter((id) => !ids.has(id)),
  };
}

/** What applying an intent to what is stored would do, and to whom. Throws `slug_collision` and `include_cycle`. */
export async function planFor(handle: ReadHandle, stored: StoredMatrix, intent: Intent): Promise<MatrixPlan> {
  const { live, applied, catalogueRevision } = stored;
  const declared = layersOf(intent);
  const { changes, kept, conflicts } = diffMatrix({ declared, applied, live }, intent.accept);
  const { moved, gone } = movedLayers(intent, applied);
  const [impact, retirements, leftRoles, traced] = await Promise.all([
    impactOn(handle, stored, changes),
    retirementsIn(handle, live, changes),
    leftRolesIn(handle, changes),
    traceDeviations(handle, [...kept, ...conflicts]),
  ]);
  const known = live.permissions.filter(({ retired, declaredIn }) => !retired && declaredIn === null);
  const named = new Map(
    [...known, ...intent.layers.flatMap(({ permissions }) => permissions)].map((one) => [one.slug, one]),
  );
  return {
    catalogueRevision,
    isEmpty: changes.length + moved.length + gone.length === 0,
    isFirst: applied.length === 0,
    ...impact,
    changes,
    kept: traced.slice(0, kept.length),
    conflicts: traced.slice(kept.length),
    retirements,
    leftRoles,
    twins: nearTwins([...named.values()], intent.acknowledged ?? []),
  };
}

async function impactOn(
  handle: ReadHandle,
  { live, now }: StoredMatrix,
  changes: readonly MatrixChange[],
): Promise<MatrixImpact> {
  const before = catalogueOf(live);
  const after = catalogueAfter(live, changes);
  const concern = concernOf(
    before,
    after,
    live.roles.map(({ key }) => key),
  );
  if (concern.permissions.length === 0) return { gains: [], losses: [] };
  const { users } = await loadUsers(handle.sql, await usersConcerned(handle, concern), []);
  const accesses = new Map(users.map(({ id, access }) => [id, access]));
  return matrixImpactOf(before, after, accesses, concern.permissions, now);
}

async function retirementsIn(
  handle: ReadHandle,
  { edges }: LiveMatrix,
  changes: readonly MatrixChange[],
): Promise<readonly Retirement[]> {
  const retired = changes.flatMap((change) => (change.kind === 'permission_retired' ? [change.slug] : []));
  if (retired.length === 0) return [];
  const users = await usersExcepted(handle, retired);
  return retired.map((permission) => ({
    permission,
    roles: [
      ...new Set(
        edges.filter((row) => row.permission === permission && !row.withheld).map(({ role }) => role),
      ),
    ].sort(),
    users: users.get(permission) ?? [],
  }));
}

async function leftRolesIn(
  handle: ReadHandle,
  changes: readonly MatrixChange[],
): Promise<readonly LeftRole[]> {
  const left = changes.flatMap((change): RoleKey[] =>
    change.kind === 'role_undeclared' ? [change.key] : [],
  );
  if (left.length === 0) return [];
  const holders = await holdersOfRoles(handle, left);
  return left.map((role) => ({ role, holders: holders.get(role) ?? 0 }));
}
