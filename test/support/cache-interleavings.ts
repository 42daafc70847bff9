/**
 * Every order in which two writes, two fills and two invalidations of one user can happen to a process's copy: what is
 * written is only a number, what reads it are the real mirror and cache, and each read is taken and answered when the
 * explorer says so.
 */
import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { UserAccess } from '../../src/domain/decision/user-access.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { settingValues } from '../../src/domain/settings.ts';
import type { Mirror } from '../../src/services/decisions/mirror.ts';
import type { UserCache } from '../../src/services/decisions/user-cache.ts';
import type { Changes, Known } from '../../src/storage/read-models/changes.ts';
import type { UserRows } from '../../src/storage/read-models/user-rows.ts';

export interface CacheBuild {
  readonly Mirror: typeof Mirror;
  readonly UserCache: typeof UserCache;
}

export interface Explored {
  readonly states: number;
  readonly orders: number;
}

/** How often each may happen. */
export interface Limits {
  readonly writes: number;
  readonly fills: number;
  readonly invalidations: number;
}

type Happening = 'write' | 'fill' | 'invalidation' | `read ${number}` | `answer ${number}`;

/** A query under way: taken at a revision by the database, then answered. */
interface Query {
  readonly known: number | undefined;
  readonly what: 'users' | 'changes';
  at: number | undefined;
  answered: boolean;
  answer(): void;
}

/** As many turns of the event loop as anything that the cache does by itself takes at most, and some more. */
const turnsToSettle = 3;
const epoch = '000000000000';
const user = 'ann' as UserId;
const userPk = 7;

/** Throws with the order of events after which the copy holds what was not so at its own revision. */
export async function explore(build: CacheBuild, limits: Limits): Promise<Explored> {
  const seen = new Set<string>();
  const open: Happening[][] = [[]];
  let orders = 0;
  for (let order = open.pop(); order; order = open.pop()) {
    orders += 1;
    const world = await replay(build, order);
    if (world.cached !== undefined && world.cached !== world.revision)
      throw new Error(
        `revision ${world.revision} has the user of revision ${world.cached} after ${order.join(', ')}`,
      );
    if (seen.has(world.state)) continue;
    seen.add(world.state);
    const next = world.possible(limits);
    if (next.length === 0 && world.unsettled > 0) throw new Error(`waits for ever after ${order.join(', ')}`);
    for (const happening of next) open.push([...order, happening]);
  }
  return { states: seen.size, orders };
}

async function replay(build: CacheBuild, order: readonly Happening[]) {
  let head = 0;
  const queries: Query[] = [];
  const versions = new WeakMap<UserAccess, number>();
  const counts = { write: 0, fill: 0, invalidation: 0 };
  const waiting = new Map<Promise<unknown>, string>();

  function query<Result>(what: Query['what'], known: number | undefined, result: (at: number) => Result) {
    return new Promise<Result>((resolve) => {
      const made: Query = {
        what,
        known,
        at: undefined,
        answered: false,
        answer: () => resolve(result(made.at ?? 0)),
      };
      queries.push(made);
    });
  }
  const loadChanges = (known: Known | undefined) =>
    query('changes', known?.revision.value, (at): Changes => {
      const from = known?.revision.value ?? at;
      const changes = Array.from({ length: at - from }, (_, index) => ({
        revision: from + index + 1,
        kind: 'grant_set' as const,
        userPk,
      }));
      const empty = { registered: [], includes: [], edges: [] };
      return {
        revision: { epoch, value: at },
        epochs: [{ id: epoch, beganAt: 0 }],
        catalogueValue: 0,
        settings: settingValues({}),
        changes: known ? changes : null,
        catalogue: known ? null : empty,
      };
    });
  const loadUsers = () =>
    query('users', undefined, (at): UserRows => {
      const access: UserAccess = { active: true, grants: [], exceptions: [] };
      versions.set(access, at);
      return {
        revision: { epoch, value: at },
        users: [{ pk: userPk, id: user, access }],
        credentials: [],
        identities: [],
      };
    });
  const mirror = new build.Mirror(loadChanges);
  const cache = new build.UserCache(mirror, loadUsers, { bytes: 1_000_000, timeoutMs: 3_600_000 });

  function wait(what: string, work: Promise<unknown>): void {
    const begun = queries.filter((one) => one.what === 'changes').length;
    waiting.set(work, `${what} ${begun}`);
    void work.finally(() => waiting.delete(work));
  }

  async function take(happening: Happening): Promise<void> {
    const [kind, index] = happening.split(' ');
    const meant = queries[Number(index)];
    if (kind === 'read' && meant) meant.at = head;
    if (kind === 'answer' && meant) {
      meant.answered = true;
      meant.answer();
    }
    if (happening === 'write') head += 1;
    if (happening === 'fill') wait('fill', cache.fill([user], []));
    if (happening === 'invalidation') wait(`reach ${head}`, mirror.reach({ epoch, value: head }));
    if (kind === 'write' || kind === 'fill' || kind === 'invalidation') counts[kind] += 1;
    for (let turn = 0; turn < turnsToSettle; turn += 1) await endOfTurn();
  }

  await take('invalidation');
  await take('read 0');
  await take('answer 0');
  counts.invalidation = 0;
  for (const happening of order) await take(happening);

  const access = cache.user(user)?.access;
  const cached = access && versions.get(access);
  const begun = queries.filter((one) => one.what === 'changes').length;
  const places = queries.filter((one) => !one.answered).map(({ what, known, at }) => [what, known, at]);
  const waiters = [...waiting.values()].map((text) =>
    text.replace(/\d+$/, (at) => String(begun - Number(at))),
  );
  return {
    cached,
    revision: mirror.revisionValue,
    unsettled: waiting.size,
    /** All that what comes next depends on. */
    state: JSON.stringify([head, counts, mirror.revisionValue, cached, places.sort(), waiters.sort()]),
    possible(limits: Limits): Happening[] {
      const possible: Happening[] = [];
      if (counts.write < limits.writes) possible.push('write');
      if (counts.fill < limits.fills) possible.push('fill');
      if (counts.invalidation < limits.invalidations) possible.push('invalidation');
      for (const [index, { at, answered }] of queries.entries())
        if (!answered) possible.push(at === undefined ? `read ${index}` : `answer ${index}`);
      return possible;
    },
  };
}
