import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { Rates } from '../../src/domain/rates.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';

/** Takes one if there is one. */
function takes(rates: Rates, name: string | number, now: number): boolean {
  if (rates.wait(name, now) > 0) return false;
  rates.spend(name, now);
  return true;
}

const granted = (rates: Rates, name: string | number, now: number, times: number) =>
  Array.from({ length: times }, () => takes(rates, name, now)).filter(Boolean).length;

describe('a rate of ten in a second', () => {
  it('gives ten at once, then one every hundred milliseconds', () => {
    const rates = new Rates(10);
    expect(granted(rates, 'ann', 5_000, 20)).toBe(10);
    expect(rates.wait('ann', 5_000)).toBeCloseTo(100);
    expect(takes(rates, 'ann', 5_099)).toBe(false);
    expect(takes(rates, 'ann', 5_100)).toBe(true);
    expect(granted(rates, 'ann', 5_400, 20)).toBe(3);
    expect(granted(rates, 'ann', 99_000, 20)).toBe(10);
  });

  it('is for each name', () => {
    const rates = new Rates(10);
    expect(granted(rates, 'ann', 0, 20)).toBe(10);
    expect(granted(rates, 'ben', 0, 20)).toBe(10);
  });

  it('lets nobody owe more than a second', () => {
    const rates = new Rates(10);
    for (let late = 0; late < 1_000; late += 1) rates.spend('ann', 0);
    expect(rates.wait('ann', 0)).toBeCloseTo(100);
    expect(granted(rates, 'ann', 1_000, 20)).toBe(10);
  });
});

/** Most come in quick succession, so that buckets are empty at times, and for longer than half of the table is young. */
const after = fc.oneof(
  { weight: 30, arbitrary: fc.nat({ max: 60 }) },
  { weight: 1, arbitrary: fc.nat({ max: 1_500 }) },
);
const steps = fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), after }), {
  maxLength: 200,
  size: 'max',
});

/** The places of steps at which a rate does otherwise than buckets that are never forgotten. */
function wrongSteps(Build: typeof Rates, taken: Steps, perSecond: number): readonly number[] {
  const rates = new Build(perSecond);
  const buckets = new Map<string, { left: number; at: number }>();
  let now = 0;
  return [...taken.keys()].filter((place) => {
    const { name, after } = taken[place] as Steps[number];
    now += after;
    const { left, at } = buckets.get(name) ?? { left: perSecond, at: now };
    const filled = Math.min(perSecond, left + ((now - at) * perSecond) / 1_000);
    const has = filled > 1 - 1e-6;
    buckets.set(name, { left: has ? filled - 1 : filled, at: now });
    return takes(rates, name, now) !== has;
  });
}
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never;

test.prop([steps, fc.integer({ min: 1, max: 20 })])(
  'what was forgotten makes no difference: it does as buckets that are never forgotten',
  (taken, perSecond) => {
    expect(wrongSteps(Rates, taken, perSecond)).toEqual([]);
  },
);

/** Each takes one rule out of rates. */
const rules: Readonly<Record<string, readonly [replace: string, by: string]>> = {
  'who has none left waits': ['missing > roundingMs ? missing : 0', '0'],
  'what is taken is gone': ['this.#fullAt(place, now) + this.#stepMs, now + fillMs', 'now, now + fillMs'],
  'each has a bucket of their own': ['return isFull ? everybodyElse : name;', 'return everybodyElse;'],
  'a bucket holds what one second gives': [
    '+ this.#stepMs - now - fillMs;',
    '+ this.#stepMs - now - 2 * fillMs;',
  ],
  'a bucket fills no further': ['Math.max(now, this.#young', 'Math.min(Number.MAX_VALUE, this.#young'],
  'what was young is old, not gone': ['? this.#young : new Map();', '? new Map() : new Map();'],
  'what is old counts': ['?? this.#old.get(place) ?? now', '?? now'],
  'the rate is the one that was asked for': ['fillMs / perSecond', 'fillMs / (perSecond + 1)'],
};

it.for(Object.entries(rules))('a build is found out without the rule that $0', async ([, [replace, by]]) => {
  const breakage: Breakage = { file: 'domain/rates.ts', replace, by };
  const drawn = fc.sample(fc.tuple(steps, fc.integer({ min: 1, max: 20 })), { seed: 1, numRuns: 300 });
  const isFound = await withBrokenBuild(
    breakage,
    async (load) => {
      const { Rates: Broken } = await load<{ Rates: typeof Rates }>('domain/rates.ts');
      return drawn.some(([taken, perSecond]) => wrongSteps(Broken, taken, perSecond).length > 0);
    },
    'domain',
  );
  expect(isFound).toBe(true);
});

describe('the table', () => {
  it('forgets who was not there for two seconds', () => {
    const rates = new Rates(10);
    for (let name = 0; name < 1_000; name += 1) rates.spend(name, 0);
    expect(rates.size).toBe(1_000);
    rates.spend('ann', 2_000);
    expect(rates.size).toBe(1);
  });

  it('has a bound, beyond which all newcomers share one bucket (A-24)', () => {
    const rates = new Rates(10, 100);
    for (let name = 0; name < 1_000_000; name += 1) rates.spend(name, name / 100);
    expect(rates.size).toBeLessThanOrEqual(202);
    const full = new Rates(10, 100);
    for (let name = 0; name < 120; name += 1) full.spend(name, 0);
    expect(full.wait('a newcomer', 0)).toBeGreaterThan(0);
    expect(full.wait(5, 0)).toBe(0);
  });
});
