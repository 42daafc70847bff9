import type { PermissionSlug, RoleKey, UserId } from '../ids.ts';
import type { Deviation, MatrixChange } from './changes.ts';
import type { MatrixImpact, MatrixUserImpact } from './impact.ts';
import type { Twins } from './twins.ts';

/** Who made a change and when; null where the record does not say, because it was made past the service. */
export interface Provenance {
  readonly actor: 'user' | 'operator' | 'service' | null;
  /** The id of the user, while it is known. */
  readonly by: string | null;
  /** UTC. */
  readonly at: string | null;
}

export type TracedDeviation = Deviation & { readonly changed: Provenance };

/** A permission that goes, and who has to do with it beyond what the layers gave. */
export interface Retirement {
  readonly permission: PermissionSlug;
  /** The roles that give it now. */
  readonly roles: readonly RoleKey[];
  /** Those with an exception for it, which ends; sorted. */
  readonly users: readonly UserId[];
}

/** A role that no layer declares any more and that stays because of these holders. */
export interface LeftRole {
  readonly role: RoleKey;
  readonly holders: number;
}

/** What applying some layers would do, and to whom: what a person reviews. */
export interface MatrixPlan extends MatrixImpact {
  /** The plan is about this state of roles and permissions, and can be applied to no other. Grants do not move it. */
  readonly catalogueRevision: string;
  /** Whether applying writes anything at all. */
  readonly isEmpty: boolean;
  /** Whether nothing was ever applied. */
  readonly isFirst: boolean;
  readonly changes: readonly MatrixChange[];
  /** What somebody changed past the matrix and stays as they left it. */
  readonly kept: readonly TracedDeviation[];
  /** What must be settled, or has been by `accept`. */
  readonly conflicts: readonly TracedDeviation[];
  readonly retirements: readonly Retirement[];
  readonly leftRoles: readonly LeftRole[];
  readonly twins: readonly Twins[];
}

/** What of a plan its later application is held to, as it comes back from outside. */
export interface PlanPin {
  readonly catalogueRevision: string;
  readonly losses: readonly {
    readonly user: string;
    readonly scope: string;
    readonly permissions: readonly string[];
  }[];
}

/** Losses that a plan did not name: somebody was given something after it was made. */
export function unforeseenLosses(
  losses: readonly MatrixUserImpact[],
  planned: PlanPin['losses'],
): readonly MatrixUserImpact[] {
  const named = new Map<string, ReadonlySet<string>>();
  for (const { user, scope, permissions } of planned)
    named.set(JSON.stringify([user, scope]), new Set(permissions));
  return losses.flatMap(({ user, scope, permissions }) => {
    const known = named.get(JSON.stringify([user, scope]));
    const unforeseen = permissions.filter((permission) => !known?.has(permission));
    return unforeseen.length > 0 ? [{ user, scope, permissions: unforeseen }] : [];
  });
}
