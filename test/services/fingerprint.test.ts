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
    const largest = fingerprintOf('\u00ff'.repeat(128));
    const nearly = fingerprintOf(`${'\u00ff'.repeat(127)}\u00fe`);
    // Alone in its sum, the factor of the last place is exact; the two differ by it, unless one of them was rounded.
    const factor = fingerprintOf(`${'\0'.repeat(127)}\u0001`);
    for (const half of ['first', 'second'] as const) {
      expect(largest[half]).toSatisfy(Number.isSafeInteger);
      expect(largest[half] - nearly[half]).toBe(factor[half]);
    }
  }
});

test('is another in each process, and its two halves know nothing of each other', () => {
  const [ours, theirs] = [openFingerprints()(key), openFingerprints()(key)];
  expect(ours.first).not.toBe(theirs.first);
  expect(ours.second).not.toBe(theirs.second);
  expect(ours.first).not.toBe(ours.second);
});
