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
  return shortestWay(includedBy(includes), from, to);
}

/** The shortest way round from the first role, in the order given, that includes itself; undefined if none does. */
export function wayRound(includes: readonly Include[]): readonly RoleKey[] | undefined {
  const steps = includedBy(includes);
  for (const role of steps.keys()) {
    const way = shortestWay(steps, role, role);
    if (way) return way;
  }
  return undefined;
}

type Steps = ReadonlyMap<RoleKey, readonly RoleKey[]>;

function includedBy(includes: readonly Include[]): Steps {
  const steps = new Map<RoleKey, RoleKey[]>();
  for (const { role, included } of includes) {
    const known = steps.get(role);
    if (known) known.push(included);
    else steps.set(role, [included]);
  }
  return steps;
}

function shortestWay(steps: Steps, from: RoleKey, to: RoleKey): readonly RoleKey[] | undefined {
  const cameFrom = new Map<RoleKey, RoleKey>();
  const reached = [from];
  for (const role of reached)
    for (const next of steps.get(role) ?? []) {
      if (next === to) return [...wayTo(role, from, cameFrom), to];
      if (next === from || cameFrom.has(next)) continue;
      cameFrom.set(next, role);
      reached.push(next);
    }
  return undefined;
}

function wayTo(end: RoleKey, from: RoleKey, cameFrom: ReadonlyMap<RoleKey, RoleKey>): RoleKey[] {
  const way = [end];
  for (let role = end; role !== from; way.unshift(role)) role = cameFrom.get(role) as RoleKey;
  return way;
}
