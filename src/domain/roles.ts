import type { RoleKey } from './ids.ts';

/** One role including another. */
export interface Include {
  readonly role: RoleKey;
  readonly included: RoleKey;
}

/** The shortest way from one role to another over includes, both named; undefined if there is none. */
export function wayOver(
  includes: readonly Include[],
  from: RoleKey,
  to: RoleKey,
): readonly RoleKey[] | undefined {
  const ways: RoleKey[][] = [[from]];
  const seen = new Set<RoleKey>([from]);
  for (const way of ways)
    for (const { role, included } of includes) {
      if (role !== way.at(-1)) continue;
      if (included === to) return [...way, included];
      if (!seen.has(included)) ways.push([...way, included]);
      seen.add(included);
    }
  return undefined;
}
