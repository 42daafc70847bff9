import type { Decision, DenyReason } from '../../domain/decision/decide.ts';
import type { Sample } from '../../observability/metrics.ts';
import type { FreshnessMode } from './views.ts';

type Outcome = 'allowed' | DenyReason;
type Counts = Record<Outcome, number>;

const none: Counts = {
  allowed: 0,
  unknown_permission: 0,
  unknown_user: 0,
  inactive_user: 0,
  denied_by_exception: 0,
  not_granted: 0,
};

/** How many decisions came out how, by how fresh they had to be. */
export class DecisionCounts {
  readonly #counts: Record<FreshnessMode, Counts> = { latest: { ...none }, lease: { ...none } };

  add(mode: FreshnessMode, decision: Decision): void {
    this.#counts[mode][decision.allowed ? 'allowed' : decision.reason] += 1;
  }

  read(): Sample[] {
    return Object.entries(this.#counts).flatMap(([freshness, counts]) =>
      Object.entries(counts).map(([outcome, value]): Sample => [{ freshness, outcome }, value]),
    );
  }
}
