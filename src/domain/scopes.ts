import type { Scope } from './ids.ts';

/** The scope that covers every other. */
export const everywhere = '' as Scope;

const slash = 0x2f;

/** Whether what holds at `holder` holds at `asked`: the same scope or one above it, segment by segment. */
export function covers(holder: Scope, asked: Scope): boolean {
  if (holder === everywhere || holder === asked) return true;
  return asked.startsWith(holder) && asked[holder.length] === '/';
}

/** The scope right above, or undefined for the one that covers every other. */
export function parentOf(scope: Scope): Scope | undefined {
  if (scope === everywhere) return undefined;
  // Scopes are short: `lastIndexOf` would take several times as long, being a call out of what V8 has compiled.
  let end = scope.length - 1;
  while (end >= 0 && scope.charCodeAt(end) !== slash) end -= 1;
  return end === -1 ? everywhere : (scope.slice(0, end) as Scope);
}

/** The scope and every one above it: where that which counts in it may be held. */
export function scopesCovering(scope: Scope): readonly Scope[] {
  const above = parentOf(scope);
  return above === undefined ? [scope] : [scope, ...scopesCovering(above)];
}
