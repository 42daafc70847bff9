import type { RoleKey } from '../ids.ts';
import type { Item } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';
import type { WrittenRole } from './role-section.ts';

/** One role that another includes, and where that is written. */
interface Include {
  readonly key: RoleKey;
  readonly at: number;
  readonly faults: FaultList;
}

/** Which role includes which, over all files. */
export type IncludeGraph = Map<RoleKey, Include[]>;

/** Looks up the roles that each role includes and adds them to the graph. Returns them sorted. */
export function resolveIncludes(
  roles: readonly WrittenRole[],
  visible: ReadonlySet<RoleKey>,
  graph: IncludeGraph,
  faults: FaultList,
): Map<RoleKey, readonly RoleKey[]> {
  return new Map(
    roles.map(({ key, includes }) => [key, findIncludes(key, includes, visible, graph, faults)]),
  );
}

/** The roles that a list names as included in a role, sorted; unknown ones, duplicates and the role itself are noted. */
export function findIncludes(
  role: RoleKey,
  items: readonly Item[],
  visible: ReadonlySet<RoleKey>,
  graph: IncludeGraph,
  faults: FaultList,
): RoleKey[] {
  const includes = findRoles(items, visible, faults).filter(({ key, at }) => {
    if (key === role) faults.add(at, 'include_cycle', `role "${key}" includes itself`);
    return key !== role;
  });
  graph.set(role, [...(graph.get(role) ?? []), ...includes]);
  return includes.map(({ key }) => key).sort();
}

/** The roles that a list names, in its order; unknown ones and duplicates are noted and left out. */
export function findRoles(
  items: readonly Item[],
  visible: ReadonlySet<RoleKey>,
  faults: FaultList,
): readonly Include[] {
  const found = new Map<RoleKey, Include>();
  for (const { text, at } of items) {
    const key = text as RoleKey;
    const first = found.get(key);
    if (!visible.has(key))
      faults.addUnknown(at, 'unknown_role', `unknown role ${quoted(text)}`, text, visible);
    else if (first) faults.add(at, 'duplicate', `duplicate "${key}", first at ${faults.place(first.at)}`);
    else found.set(key, { key, at, faults });
  }
  return [...found.values()];
}

/**
 * Notes every include that closes a cycle. Walks depth first without recursion: a chain of includes may be as long as
 * the file.
 */
export function refuseCycles(graph: IncludeGraph): void {
  const finished = new Set<RoleKey>();
  for (const start of graph.keys()) {
    const path = finished.has(start) ? [] : [{ key: start, pending: iterate(graph, start) }];
    const onPath = new Set([start]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { value: include } = top.pending.next();
      if (include === undefined) {
        finished.add(top.key);
        onPath.delete(top.key);
        path.pop();
      } else if (onPath.has(include.key)) {
        refuseCycle(include, path);
      } else if (!finished.has(include.key)) {
        onPath.add(include.key);
        path.push({ key: include.key, pending: iterate(graph, include.key) });
      }
    }
  }
}

function iterate(graph: IncludeGraph, key: RoleKey): Iterator<Include, undefined> {
  return (graph.get(key) ?? []).values();
}

function refuseCycle({ key, at, faults }: Include, path: readonly { key: RoleKey }[]): void {
  const keys = path.map((step) => step.key);
  const cycle = [...keys.slice(keys.indexOf(key)), key];
  faults.add(at, 'include_cycle', `include cycle: ${cycle.join(' -> ')}`);
}
