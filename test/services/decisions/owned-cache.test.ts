import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OwnedCache } from '../../../src/services/decisions/owned-cache.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';

interface Thing {
  readonly userPk: number;
  readonly weight: number;
}

type Step =
  | { readonly kind: 'set'; readonly key: string; readonly thing: Thing }
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'drop'; readonly userPk: number }
  | { readonly kind: 'clear' };

const bound = 60;
const heaviest = 8;
const keys = fc.constantFrom(...'abcdefghijklmnopqrst');
const users = fc.integer({ min: 1, max: 5 });
const things = fc.record({ userPk: users, weight: fc.integer({ min: 1, max: heaviest }) });
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: fc.constant('set' as const), key: keys, thing: things }) },
  { weight: 16, arbitrary: fc.record({ kind: fc.constant('get' as const), key: keys }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drop' as const), userPk: users }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
);
const histories = fc.array(steps, { minLength: 10, maxLength: 200, size: 'max' });

/** Plays a history beside the obvious: a map that forgets nothing by itself. Throws where they may not differ. */
function play(Cache: typeof OwnedCache, history: readonly Step[]): void {
  const cache = new Cache<string, Thing>(bound, (thing) => thing.weight);
  const stored = new Map<string, Thing>();
  /** By key, how much weight was moved in the cache since it was last used. */
  const moved = new Map<string, number>();
  const use = (key: string, weight: number) => {
    for (const [other, sum] of moved) moved.set(other, sum + weight);
    moved.set(key, 0);
  };
  for (const step of history) {
    if (step.kind === 'set') {
      cache.set(step.key, step.thing);
      stored.set(step.key, step.thing);
      use(step.key, step.thing.weight);
    } else if (step.kind === 'get') {
      const due = stored.get(step.key);
      const found = cache.get(step.key);
      if (found !== undefined) expect(found, 'found').toBe(due);
      if (due !== undefined && (moved.get(step.key) ?? 0) <= bound / 2)
        expect(found, 'used a moment ago').toBe(due);
      if (found) use(step.key, found.weight);
      else stored.delete(step.key);
    } else if (step.kind === 'drop') {
      cache.dropOf(step.userPk);
      for (const [key, thing] of stored) if (thing.userPk === step.userPk) stored.delete(key);
    } else {
      cache.clear();
      stored.clear();
    }
    expect(cache.size, 'no more than was put in').toBeLessThanOrEqual(stored.size);
  }
  const kept = [...stored.keys()].map((key) => cache.get(key)?.weight ?? 0);
  expect(
    kept.reduce((sum, weight) => sum + weight, 0),
    'weight',
  ).toBeLessThanOrEqual(bound + 2 * heaviest);
}

const plays = (Cache: typeof OwnedCache) =>
  fc.property(histories, (history) => {
    play(Cache, history);
  });

test('what is kept is what was put there last, within the bound, and nothing of a user who was dropped', () => {
  fc.assert(plays(OwnedCache), { numRuns: 500 });
});

test('invented keys leave what is in use where it is (L-10)', () => {
  const cache = new OwnedCache<string, Thing>(bound, (thing) => thing.weight);
  const hot = { userPk: 1, weight: 5 };
  cache.set('hot', hot);
  for (let number = 0; number < 10_000; number += 1) {
    cache.set(`cold-${number}`, { userPk: number, weight: 5 });
    expect(cache.get('hot')).toBe(hot);
    expect(cache.size).toBeLessThanOrEqual(bound / 5 + 2);
  }
});

const file = 'services/decisions/owned-cache.ts';
const breakages: Readonly<Record<string, Breakage>> = {
  'of a user only the young things are dropped': {
    file,
    replace: 'of [this.#young, this.#old])',
    by: 'of [this.#young])',
  },
  'of a user only the last thing is dropped': {
    file,
    replace: '[...(this.keysOf.get(value.userPk) ?? []), key]',
    by: '[key]',
  },
  'what is replaced stays in the old generation': {
    file,
    replace: '    this.#old.delete(key, this.#old.values.get(key));\n    this.#young',
    by: '    this.#young',
  },
  'a thing that changes hands is dropped with its first owner': {
    file,
    replace: '    this.#young.delete(key, this.#young.values.get(key));\n    this.#young',
    by: '    this.#young',
  },
  'nothing is ever forgotten': { file, replace: 'this.#bound / 2', by: 'Infinity' },
  'use does not count': {
    file,
    replace: '      this.set(key, old);\n',
    by: '      this.#old.add(key, old, 0);\n',
  },
};

test.for(Object.entries(breakages))('a build is found out in which %s', async ([, breakage]) => {
  await withBrokenBuild(
    breakage,
    async (load) => {
      const broken = await load<{ OwnedCache: typeof OwnedCache }>(file);
      expect(() => fc.assert(plays(broken.OwnedCache), { numRuns: 500, endOnFailure: true })).toThrow();
    },
    'services/decisions',
  );
});
