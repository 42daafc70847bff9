import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { Rates } from '../../src/domain/rates.ts';

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

const steps = fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), after: fc.nat({ max: 1_500 }) }), {
  maxLength: 200,
});

test.prop([steps, fc.integer({ min: 1, max: 20 })])(
  'what was forgotten makes no difference: it does as buckets that are never forgotten',
  (steps, perSecond) => {
    const rates = new Rates(perSecond);
    const buckets = new Map<string, { left: number; at: number }>();
    let now = 0;
    for (const { name, after } of steps) {
      // Most come in quick succession, so that buckets are empty at times.
      now += after > 1_000 ? after : after >> 5;
      const { left, at } = buckets.get(name) ?? { left: perSecond, at: now };
      const filled = Math.min(perSecond, left + ((now - at) * perSecond) / 1_000);
      const has = filled > 1 - 1e-6;
      expect(takes(rates, name, now)).toBe(has);
      buckets.set(name, { left: has ? filled - 1 : filled, at: now });
    }
  },
);

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
