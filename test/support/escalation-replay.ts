/** States that sequences of calls lead to, made in a real service, and every call tried in them. */
import { expect } from 'vitest';
import { accessIn, atOnce, moveIn, moveOut, type Seen, type Street, visit } from './door-walk.ts';
import type { House } from './doors.ts';
import { calls, houseIn, type State } from './escalation-steps.ts';
import { referencePermissions, type World } from './reference-model.ts';
import { slugIn, storable, userIn } from './stored-worlds.ts';
import { scopes } from './worlds.ts';

const emptyWorld: World = { permissions: new Map(), users: new Map(), includes: [], edges: [] };

/** For who judges and asks nothing of a service. */
export const emptyHouse: House = {
  stored: { number: 0, world: emptyWorld, at: 1 },
  world: emptyWorld,
  alterable: () => [],
  at: 1,
  zero: 0,
  key: { id: 'none', permission: undefined },
  mapping: 'none',
  planOf: async () => [],
};

/**
 * Makes the calls that lead to a state, and tries every call in it: throws where what goes, or what anybody may do then, is
 * not what the model says.
 */
export async function replay(
  street: Street,
  number: number,
  beginning: World,
  state: State,
  seen: Seen,
): Promise<void> {
  const stored = { number, world: withBackend(storable(beginning)), at: 1 };
  const moved = await moveIn(street, stored, null);
  const reached = { ...state, world: withBackend(state.world) };
  const visitor = visit(street, { ...moved, house: houseIn(moved.house, reached) }, seen);
  for (const call of state.path) {
    const { body } = await visitor.go(call, false);
    expect(body.code, `${JSON.stringify(call)}: ${body.detail}`).toBeUndefined();
  }
  const access = await accessIn(street, stored);
  for (const user of ['alice', 'Alice'])
    for (const scope of scopes) {
      const has = access.get(`${userIn(stored, user)} ${scope}`) ?? [];
      const ofWorld = has.filter((slug) => slug.startsWith(slugIn(stored, '')));
      const meant = referencePermissions(state.world, user, scope, stored.at);
      expect(ofWorld, `${user} in ${scope} after ${JSON.stringify(state.path)}`).toEqual(
        meant.map((slug) => slugIn(stored, slug)),
      );
    }
  for (let first = 0; first < calls.length; first += atOnce)
    await Promise.all(calls.slice(first, first + atOnce).map(visitor.attempt));
  await moveOut(street, stored);
}

/** With whoever every street has. */
function withBackend(world: World): World {
  const backend = { active: true, grants: [], exceptions: [] };
  return { ...world, users: new Map([...world.users, ['backend', backend]]) };
}
