import { expect, test } from 'vitest';
import { openFingerprints } from '../../src/services/fingerprint.ts';

const key = `Bearer rc_${'Ab3'.repeat(4)}_${'Kq3xZ9t'.repeat(7)}`;
const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

test('is the same of the same text, and tells it from every text that differs in one character', () => {
  const fingerprintOf = openFingerprints();
  const own = fingerprintOf(key);
  expect(fingerprintOf(`${key}`)).toEqual(own);
  const taken = { first: 0, second: 0 };
  let others = 0;
  for (let place = 0; place < key.length; place += 1)
    for (const character of characters) {
      if (character === key[place]) continue;
      const { first, second } = fingerprintOf(key.slice(0, place) + character + key.slice(place + 1));
      if (first === own.first) taken.first += 1;
      if (second === own.second) taken.second += 1;
      others += 1;
    }
  expect(others).toBe(255 * key.length);
  expect(taken).toEqual({ first: 0, second: 0 });
});

test('tells texts of the same characters apart by their order', () => {
  const fingerprintOf = openFingerprints();
  const turned = [...key].reverse().join('');
  expect(fingerprintOf(turned).first).not.toBe(fingerprintOf(key).first);
  expect(fingerprintOf(turned).second).not.toBe(fingerprintOf(key).second);
});

test('is exact, be every character and every factor as large as they can be', () => {
  for (let times = 0; times < 100; times += 1) {
    const fingerprintOf = openFingerprints();
    const { first, second } = fingerprintOf('\u00ff'.repeat(128));
    expect([first, second].every(Number.isSafeInteger)).toBe(true);
    // The last bit is not lost in a sum that is as large as any.
    const other = fingerprintOf(`${'\u00ff'.repeat(127)}\u00fe`);
    expect(other.first).not.toBe(first);
    expect(other.second).not.toBe(second);
  }
  expect(255 * 128 * (2 ** 38 - 1)).toBeLessThan(Number.MAX_SAFE_INTEGER);
});

test('is another in each process, and its two halves know nothing of each other', () => {
  const [ours, theirs] = [openFingerprints()(key), openFingerprints()(key)];
  expect(ours.first).not.toBe(theirs.first);
  expect(ours.second).not.toBe(theirs.second);
  expect(ours.first).not.toBe(ours.second);
});
