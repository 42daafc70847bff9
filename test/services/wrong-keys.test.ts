import { expect, test } from 'vitest';
import { openWrongKeys } from '../../src/services/wrong-keys.ts';

function watched() {
  let now = 0;
  const wrongKeys = openWrongKeys(3, () => now);
  const guess = (ip: string, times = 3) => {
    for (let time = 0; time < times; time += 1) wrongKeys.foundWrong(`guess-${time}`, { ip }, false);
  };
  const isLookedUp = (ip: string, keyId = 'unknown') => {
    try {
      wrongKeys.requirePatience(keyId, { ip });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited', retryAfter: 1 });
      return false;
    }
  };
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { wrongKeys, guess, isLookedUp, pass };
}

test('an address that had its wrong keys waits for the next, and no longer (A-24)', () => {
  const { guess, isLookedUp, pass } = watched();
  guess('10.0.0.1', 2);
  expect(isLookedUp('10.0.0.1')).toBe(true);
  guess('10.0.0.1', 500);
  expect(isLookedUp('10.0.0.1')).toBe(false);
  expect(isLookedUp('10.0.0.2')).toBe(true);
  pass(334);
  expect(isLookedUp('10.0.0.1')).toBe(true);
});

test.each([
  ['2001:db8::1', '2001:db8::ffff:1', true],
  ['2001:db8:0:0:1::', '2001:db8::9', true],
  ['2001:db8:0:1::1', '2001:db8::1', false],
  ['::1', '::2', true],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:9::', true],
  ['1:2:3:4:5:6:7:8', '1:2:3:5:5:6:7:8', false],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.2', false],
  ['10.0.0.1', '10.0.0.2', false],
])('%s and %s count as one: %s', (one, other, same) => {
  const { guess, isLookedUp } = watched();
  guess(one);
  expect(isLookedUp(other)).toBe(!same);
});

test('a key that was good is looked up whatever else comes, until it stands no more', () => {
  const { wrongKeys, guess, isLookedUp } = watched();
  wrongKeys.foundGood('good');
  guess('10.0.0.1');
  wrongKeys.foundWrong('good', { ip: '10.0.0.1' }, true);
  expect(isLookedUp('10.0.0.1', 'good')).toBe(true);
  wrongKeys.foundWrong('good', { ip: '10.0.0.1' }, false);
  expect(isLookedUp('10.0.0.1', 'good')).toBe(false);
});

test('of the good ones those are remembered that were found last', () => {
  const { wrongKeys, guess, isLookedUp } = watched();
  guess('10.0.0.1');
  for (let key = 0; key < 10_000; key += 1) wrongKeys.foundGood(`key-${key}`);
  wrongKeys.foundGood('key-0');
  wrongKeys.foundGood('one more');
  expect(isLookedUp('10.0.0.1', 'key-0')).toBe(true);
  expect(isLookedUp('10.0.0.1', 'key-1')).toBe(false);
  expect(isLookedUp('10.0.0.1', 'key-2')).toBe(true);
});
