import type { RoleKey } from '../ids.ts';
import { type FaultList, quoted } from './faults.ts';
import type { WrittenRole } from './role-section.ts';

interface Include {
  readonly key: RoleKey;
  readonly at: number;
}

/**
 * Looks up the roles that each role includes, sorted. Noted are unknown roles, duplicates, a role that includes itself
 * and every include that closes a cycle.
 */
export function resolveIncludes(
  roles: readonly WrittenRole[],
  faults: FaultList,
): Map<RoleKey, readonly RoleKey[]> {
  const known = new Map<string, RoleKey>(roles.map(({ key }) => [key, key]));
  const graph = new Map(roles.map((role) => [role.key, findIncludes(role, known, faults)]));
  refuseCycles(graph, faults);
  return new Map([...graph].map(([key, includes]) => [key, includes.map((include) => include.key).sort()]));
}

function findIncludes(role: WrittenRole, known: ReadonlyMap<string, RoleKey>, faults: FaultList): Include[] {
  const includes = new Map<RoleKey, Include>();
  for (const { text, at } of role.includes) {
    const key = known.get(text);
    const first = key && includes.get(key);
    if (key === undefined)
      faults.addUnknown(at, 'unknown_role', `unknown role ${quoted(text)}`, text, known.keys());
    else if (key === role.key) faults.add(at, 'include_cycle', `role "${key}" includes itself`);
    else if (first) faults.add(at, 'duplicate', `duplicate "${key}", first at ${faults.place(first.at)}`);
    else includes.set(key, { key, at });
  }
  return [...includes.values()];
}

/** Walks depth first without recursion: a chain of includes may be as long as the file. */
function refuseCycles(graph: ReadonlyMap<RoleKey, readonly Include[]>, faults: FaultList): void {
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
        refuseCycle(include, path, faults);
      } else if (!finished.has(include.key)) {
        onPath.add(include.key);
        path.push({ key: include.key, pending: iterate(graph, include.key) });
      }
    }
  }
}

function iterate(
  graph: ReadonlyMap<RoleKey, readonly Include[]>,
  key: RoleKey,
): Iterator<Include, undefined> {
  return (graph.get(key) ?? []).values();
}

function refuseCycle(closing: Include, path: readonly { key: RoleKey }[], faults: FaultList): void {
  const keys = path.map(({ key }) => key);
  const cycle = [...keys.slice(keys.indexOf(closing.key)), closing.key];
  faults.add(closing.at, 'include_cycle', `include cycle: ${cycle.join(' -> ')}`);
}
