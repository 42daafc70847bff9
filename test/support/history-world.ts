/**
 * The world of a random history: what decisions are judged by, and what only writes ask about. Here is what the model
 * says of edges and administrators, written down a second time.
 */
import type { ReferenceException, ReferenceGrant, ReferenceUser, World } from './reference-model.ts';

/** The world that decisions are judged by, with what only writes ask about. */
export interface HistoryWorld extends World {
  readonly users: Map<string, HistoryUser>;
  readonly roles: Map<string, { readonly declared: boolean; readonly system: boolean }>;
  /** By slug, retired ones too: as what it was registered. */
  readonly names: Map<string, { readonly name: string; readonly declared: boolean }>;
  /** Every key made in this history, in order. */
  readonly keys: HistoryKey[];
}

export interface HistoryUser extends ReferenceUser {
  grants: (ReferenceGrant & Reasoned)[];
  exceptions: (ReferenceException & Reasoned)[];
}

export interface HistoryKey {
  readonly user: string;
  readonly narrowedTo: readonly string[] | null;
  state: 'good' | 'revoked' | 'gone';
  /** What the service called it, and the key itself: known once the answer is there. */
  id?: string;
  secret?: string;
}

interface Reasoned {
  readonly reason: string | null;
}

export function keyAt(world: HistoryWorld, which: number): HistoryKey | undefined {
  return world.keys[which % world.keys.length];
}

/** Somebody active is administrator everywhere and for good, and neither is nor will be denied anything of the service. */
export function administratorRemains(world: HistoryWorld, at: number): boolean {
  return [...world.users.values()].some(
    ({ active, grants, exceptions }) =>
      active &&
      grants.some(
        ({ role, scope, startsAt, expiresAt }) =>
          role === 'admin' && scope === '' && expiresAt === null && (startsAt === null || startsAt <= at),
      ) &&
      !exceptions.some(
        ({ effect, permission, expiresAt }) =>
          effect === 'deny' && permission.startsWith('rolecall_') && (expiresAt === null || expiresAt > at),
      ),
  );
}

interface OriginRow {
  readonly origin: string;
  readonly withheld: boolean;
}

export function edgeRows(world: World, role: string, permission: string) {
  return world.edges.filter((row) => row.role === role && row.permission === permission);
}

export function includeRows(world: World, role: string, included: string) {
  return world.includes.filter((row) => row.role === role && row.included === included);
}

/** What became of the API's own row: undefined if it is as it was. */
type Settled = 'set' | 'removed' | undefined;

export function settleEdge(world: World, role: string, permission: string, give: boolean): Settled {
  const make = (row: OriginRow) => ({ role, permission, ...row });
  return settle(world.edges, edgeRows(world, role, permission), give, make);
}

export function settleInclude(world: World, role: string, included: string, give: boolean): Settled {
  const make = (row: OriginRow) => ({ role, included, ...row });
  return settle(world.includes, includeRows(world, role, included), give, make);
}

/**
 * PUT: the API gives, and its tombstone is lifted. DELETE: the API gives no more, and its tombstone stands if another
 * origin still gives.
 */
function settle<Row extends OriginRow>(
  all: Row[],
  ofThis: readonly Row[],
  give: boolean,
  make: (row: OriginRow) => Row,
): Settled {
  const own = ofThis.find((row) => row.origin === 'api');
  const givenByOthers = ofThis.some((row) => row.origin !== 'api' && !row.withheld);
  const leavesRow = give || givenByOthers;
  const isAsItWas = leavesRow ? own?.withheld === !give : own === undefined;
  if (isAsItWas) return undefined;
  exchange(all, own, leavesRow ? make({ origin: 'api', withheld: !give }) : undefined);
  return leavesRow ? 'set' : 'removed';
}

export function isWithheldByLayer(rows: readonly OriginRow[]): boolean {
  return rows.some((row) => row.origin !== 'api' && row.withheld);
}

/** Whether a role is another or includes it; a tombstone does not break the way, since it may be lifted. */
export function leadsTo(world: World, role: string, other: string): boolean {
  if (role === other) return true;
  const next = world.includes.filter((row) => row.role === role && !row.withheld);
  return next.some((row) => leadsTo(world, row.included, other));
}

export function exchange<T>(list: T[], old: T | undefined, now?: T): void {
  if (old !== undefined) list.splice(list.indexOf(old), 1);
  if (now !== undefined) list.push(now);
}

export function takeOut<T>(list: T[], isMeant: (item: T) => boolean): T[] {
  const taken = list.filter(isMeant);
  for (const item of taken) exchange(list, item);
  return taken;
}

export function distinct(texts: Iterable<string>): string[] {
  return [...new Set(texts)].sort();
}
