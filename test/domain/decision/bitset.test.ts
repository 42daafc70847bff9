import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { Bitset } from '../../../src/domain/decision/bitset.ts';

const size = 130;
// The first and the last of a word, and the last of all, are where mistakes are made.
const number = fc.oneof(fc.constantFrom(0, 31, 32, 63, 64, 128, 129), fc.nat(size - 1));
const numbers = fc.array(number, { maxLength: 8 });
const operation = fc.record({ kind: fc.constantFrom('add', 'addAll', 'removeAll'), numbers });

describe('a bitset', () => {
  test.prop([fc.array(operation, { maxLength: 12 })], { numRuns: 5_000 })(
    'holds what a set holds after the same was done to it',
    (operations) => {
      const bitset = new Bitset(size);
      const set = new Set<number>();
      for (const { kind, numbers: named } of operations) {
        if (kind === 'add') for (const each of named) bitset.add(each);
        if (kind === 'addAll') bitset.addAll(bitsetOf(named));
        if (kind === 'removeAll') bitset.removeAll(bitsetOf(named));
        for (const each of named)
          if (kind === 'removeAll') set.delete(each);
          else set.add(each);
      }
      expect([...bitset]).toEqual([...set].sort((a, b) => a - b));
      expect(bitset.isEmpty()).toBe(set.size === 0);
      const all = Array.from({ length: size }, (_, each) => each);
      expect(all.filter((each) => bitset.has(each))).toEqual([...bitset]);
    },
  );

  test.prop([numbers, numbers], { numRuns: 1_000 })('leaves what is added to it as it is', (own, others) => {
    const other = bitsetOf(others);
    const before = [...other];
    const bitset = bitsetOf(own);
    bitset.addAll(other);
    bitset.removeAll(bitsetOf(own));
    expect([...other]).toEqual(before);
  });

  it.each([0, 1, 31, 32, 33, 64])('of %i numbers can be full', (full) => {
    const bitset = new Bitset(full);
    expect([...bitset]).toEqual([]);
    for (let each = 0; each < full; each += 1) bitset.add(each);
    expect([...bitset]).toEqual(Array.from({ length: full }, (_, each) => each));
    expect(bitset.has(full)).toBe(false);
  });
});

function bitsetOf(those: readonly number[]): Bitset {
  const bitset = new Bitset(size);
  for (const each of those) bitset.add(each);
  return bitset;
}
