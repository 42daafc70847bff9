import type { Scope } from './ids.ts';
import { covers, everywhere } from './scopes.ts';

/** Where somebody may look: at these scopes and all below them, but not at those that are denied and what is below. */
export interface Sight {
  readonly scopes: readonly Scope[];
  readonly denied: readonly Scope[];
}

export const seesEverything: Sight = { scopes: [everywhere], denied: [] };
export const seesNothing: Sight = { scopes: [], denied: [] };

/** Whether what lies at exactly this scope is shown. */
export function sees({ scopes, denied }: Sight, scope: Scope): boolean {
  return scopes.some((held) => covers(held, scope)) && !denied.some((not) => covers(not, scope));
}

export function isUnlimited({ scopes, denied }: Sight): boolean {
  return denied.length === 0 && scopes.includes(everywhere);
}

/** What lies in both. `one` as it is, if the other has no limits. */
export function commonSight(one: Sight, other: Sight): Sight {
  if (isUnlimited(other)) return one;
  if (isUnlimited(one)) return other;
  const denied = [...new Set([...one.denied, ...other.denied])];
  const scopes = one.scopes.flatMap((scope) =>
    other.scopes.flatMap((beside) => {
      if (covers(scope, beside)) return [beside];
      return covers(beside, scope) ? [scope] : [];
    }),
  );
  const standing = [...new Set(scopes)].filter((scope) => !denied.some((not) => covers(not, scope)));
  return {
    scopes: standing.sort(),
    denied: denied.filter((not) => standing.some((scope) => covers(scope, not))).sort(),
  };
}
