import { RolecallError } from '../../domain/errors.ts';
import type { Json } from '../../domain/journal-entries.ts';
import { isEdge, type MatrixChange } from '../../domain/matrix/changes.ts';
import type { MatrixLayer } from '../../domain/matrix/document.ts';
import { type MatrixPlan, type PlanPin, unforeseenLosses } from '../../domain/matrix/plan.ts';
import { readMatrix, replaceLayers, type StoredMatrix } from '../../storage/matrix.ts';
import type { Transactions, WriteHandle, Written } from '../../storage/transaction.ts';
import { requireAdministrator } from '../administrator-floor.ts';
import { type Call, writeContextOf } from '../call.ts';
import { forGood, guardChange, type Reach } from '../guard.ts';
import { makeChanges } from './making.ts';
import { type Intent, layersOf, movedLayers, planFor } from './planning.ts';
import { type MatrixState, stateOf } from './state.ts';

export type { Intent };

/** On which conditions a matrix is applied. */
export interface Terms extends Omit<Intent, 'layers'> {
  /** The plan that somebody reviewed; without one whatever there is to do is done. */
  readonly plan?: PlanPin | undefined;
  /** Whether somebody may lose something; nobody may if left out. */
  readonly allowLoss?: boolean | undefined;
}

export interface Matrix {
  /** Roles and permissions as they are. */
  state(call: Call): Promise<MatrixState>;
  /** What applying would do, and to whom; changes nothing. Throws `slug_collision` and `include_cycle`. */
  plan(call: Call, intent: Intent): Promise<MatrixPlan>;
  /**
   * Makes the database say what the built-in layer and these layers say, in one transaction, and answers with what it
   * did. What people changed through the API stays, but on system roles. Nothing to change writes nothing.
   *
   * Throws what `plan` throws; `plan_outdated` if roles or permissions changed after the plan was made;
   * `matrix_conflict` if somebody must choose between the files and what is live; `loss_not_accepted` if somebody loses
   * something and that is not allowed, or the plan did not name them; and what the guard throws: whoever applies holds all
   * that it gives or takes.
   */
  apply(call: Call, layers: readonly MatrixLayer[], terms?: Terms): Promise<Written<MatrixPlan>>;
}

const manage = 'rolecall_manage_matrix' as const;
const mostNamed = 5;

export function openMatrix(transactions: Transactions): Matrix {
  return {
    state: (call) => transactions.read(call.deadline, async (handle) => stateOf(await readMatrix(handle))),

    plan: (call, intent) =>
      transactions.read(call.deadline, async (handle) => planFor(handle, await readMatrix(handle), intent)),

    apply: (call, layers, terms = {}) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const intent = { ...terms, layers };
        const stored = await readMatrix(handle);
        const plan = await planFor(handle, stored, intent);
        await guardChange(handle, call, manage, forGood.scope, plan.changes.flatMap(reachOf));
        if (plan.isEmpty) return plan;
        refuseUnreviewed(plan, terms);
        await makeChanges(handle, plan.changes);
        await keepLayers(handle, stored, intent);
        await requireAdministrator(handle, call);
        return plan;
      }),
  };
}

/** What a change gives to or takes from those who hold the role: everywhere and for good. */
function reachOf(change: MatrixChange): readonly Reach[] {
  if (change.kind === 'permission_retired') return [{ permission: change.slug, ...forGood }];
  if ('included' in change) return [{ role: change.included, ...forGood }];
  return isEdge(change) ? [{ permission: change.permission, ...forGood }] : [];
}

/**
 * Throws unless a plan is one that somebody could have agreed to on these terms: `plan_outdated`, `matrix_conflict` or
 * `loss_not_accepted`.
 */
export function refuseUnreviewed(plan: MatrixPlan, { plan: reviewed, accept, allowLoss }: Terms): void {
  if (reviewed && reviewed.catalogueRevision !== plan.catalogueRevision)
    throw new RolecallError(
      'plan_outdated',
      'roles or permissions have changed since this plan was made: make a new one and review it',
    );
  if (plan.conflicts.length > 0 && accept === undefined)
    throw new RolecallError(
      'matrix_conflict',
      `the files and somebody changed the same thing, ${plan.conflicts.length} times: look at the plan, then accept \`matrix\` or \`live\``,
    );
  if (plan.losses.length > 0 && allowLoss !== true)
    throw new RolecallError(
      'loss_not_accepted',
      `${peopleIn(plan.losses)} would lose something: look at the plan, then allow the loss`,
    );
  const unforeseen = reviewed ? unforeseenLosses(plan.losses, reviewed.losses) : [];
  if (unforeseen.length > 0)
    throw new RolecallError(
      'loss_not_accepted',
      `${peopleIn(unforeseen)} would lose something that the plan did not name: make a new one and review it`,
    );
}

function peopleIn(losses: MatrixPlan['losses']): string {
  const users = [...new Set(losses.map(({ user }) => user))];
  const named = users.slice(0, mostNamed).join(', ');
  return users.length > mostNamed ? `${named} and ${users.length - mostNamed} more` : named;
}

async function keepLayers(handle: WriteHandle, { applied }: StoredMatrix, intent: Intent): Promise<void> {
  const { moved, gone } = movedLayers(intent, applied);
  if (moved.length + gone.length > 0) await replaceLayers(handle, layersOf(intent));
  for (const { id, contentHash, ...content } of moved)
    handle.record({
      kind: 'layer_applied',
      after: { layer: id, contentHash, content: content as unknown as Json },
    });
  for (const id of gone) handle.record({ kind: 'layer_removed', before: { layer: id } });
}
