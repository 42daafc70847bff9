import type { Scope } from './ids.ts';

/** The scope that covers every other. */
export const everywhere = '' as Scope;

/** Whether what holds at `holder` holds at `asked`: the same scope or one above it, segment by segment. */
export function covers(holder: Scope, asked: Scope): boolean {
  if (holder === everywhere || holder === asked) return true;
  return asked.startsWith(holder) && asked[holder.length] === '/';
}
