import { createInterface } from 'node:readline/promises';
import { CommanderError, Option } from 'commander';
import { RolecallError } from '../domain/errors.ts';
import type { MatrixPlan, PlanPin } from '../domain/matrix/plan.ts';
import { operatorCall } from '../services/call.ts';
import { type Intent, refuseUnreviewed } from '../services/matrix/matrix.ts';
import { exitCodes } from './exit-codes.ts';
import { brief, describePlan, full } from './matrix-report.ts';
import { operate } from './operate.ts';
import { count, print, printJson, progress } from './output.ts';

export interface ApplyOptions {
  readonly accept?: Intent['accept'];
  readonly allowLoss?: true;
  readonly yes?: true;
  readonly full?: true;
  readonly json?: true;
}

/** A matrix may have thousands of edges; nothing else waits for this command but other writes. */
export const matrixTimeoutMs = 60_000;

export function acceptOption(): Option {
  return new Option('--accept <side>', 'who wins where the files and somebody changed the same').choices([
    'matrix',
    'live',
  ]);
}

/**
 * Applies a plan that somebody reviewed; without one it is made, shown, and asked about. Nobody is asked when there is
 * nothing to do, or when nothing was ever applied, for then nobody has anything to lose.
 */
export async function reviewAndApply(
  intent: Intent,
  options: ApplyOptions,
  reviewed?: PlanPin,
): Promise<void> {
  const { accept, allowLoss, json } = options;
  await operate(matrixTimeoutMs, async ({ matrix }, call) => {
    const plan = reviewed ?? (await review(await matrix.plan(call, { ...intent, accept }), options));
    // Somebody may have thought about it for longer than a call may take.
    const { value, revision, changed } = await matrix.apply(operatorCall(matrixTimeoutMs), intent.layers, {
      accept,
      allowLoss,
      plan,
    });
    if (json) printJson({ changed, revision, ...value });
    else if (changed) print(`Applied ${count(value.changes.length, 'change')}.`);
    else print('Nothing to do: the matrix is applied.');
  });
}

async function review(plan: MatrixPlan, options: ApplyOptions): Promise<PlanPin> {
  if (plan.isEmpty || plan.isFirst) return plan;
  if (!options.json) print(describePlan(plan, options.full ? full : brief));
  // At once: by the time it is applied it might be refused no more, and nobody was asked.
  refuseUnreviewed(plan, options);
  if (!options.yes) await ask();
  return plan;
}

/** Throws unless somebody says yes. */
async function ask(): Promise<void> {
  if (!process.stdin.isTTY)
    throw new RolecallError(
      'invalid_input',
      'there is nobody to ask: review `rolecall matrix plan`, then apply with --yes',
    );
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question('Apply this? (yes/no) ').finally(() => lines.close());
  if (answer.trim().toLowerCase() === 'yes') return;
  progress('Nothing was changed.');
  throw new CommanderError(exitCodes.refused, 'rolecall.declined', 'not applied');
}
