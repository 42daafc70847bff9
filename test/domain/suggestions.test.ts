import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { didYouMean, nearestNames } from '../../src/domain/suggestions.ts';

describe('the nearest names', () => {
  it.each([
    ['a swap of neighbours', 'documents.view_documnet', 'documents.view_document'],
    ['a missing letter', 'custmers', 'customers'],
    ['a letter too many', 'customerss', 'customers'],
    ['a wrong letter', 'custamers', 'customers'],
    ['another case', 'MANAGER', 'manager'],
    ['another notation', 'orders_view_order', 'orders.view_order'],
  ])('see through %s', (_, wanted, meant) => {
    expect(nearestNames(wanted, ['unrelated', meant, 'something_else'])).toEqual([meant]);
  });

  it('count a swap as one edit, so that a short name is found by it', () => {
    expect(nearestNames('ab', ['ba'])).toEqual(['ba']);
    expect(nearestNames('xaby', ['xbay'])).toEqual(['xbay']);
  });

  it('see a swap behind an edit that uses up the rest of the limit', () => {
    expect(nearestNames('abcdefgh', ['xabcdefhg'])).toEqual(['xabcdefhg']);
  });

  it.each([
    ['user', 'usr', true],
    ['user', 'us', false],
    ['viewer', 'viewerxx', true],
    ['viewer', 'viewerxxx', false],
    ['accountant', 'accountantxxx', true],
    ['accountant', 'accountantxxxx', false],
    ['a_very_long_name_that_goes_on', 'a_very_long_name_that_xxxx_on', false],
  ])('are cut off: %s and %s are near: %s', (wanted, known, near) => {
    expect(nearestNames(wanted, [known])).toEqual(near ? [known] : []);
  });

  it('come nearest first, then in byte order, whatever the order of the known ones', () => {
    const expected = ['viewer', 'viewera', 'viewerb'];
    expect(nearestNames('viewer', ['viewerb', 'viewer', 'viewera', 'viewerc'])).toEqual(expected);
    expect(nearestNames('viewer', ['viewerc', 'viewera', 'viewer', 'viewerb'])).toEqual(expected);
  });

  it('count a repeated ending as the edit that it is', () => {
    expect(nearestNames('documents', ['documentss', 'documenta'])).toEqual(['documenta', 'documentss']);
  });

  it('are as many as asked for and each named once', () => {
    expect(nearestNames('viewer', ['vieweb', 'viewea', 'viewea'], 1)).toEqual(['viewea']);
    expect(nearestNames('viewer', ['viewea', 'viewea'])).toEqual(['viewea']);
  });

  it('are none for nothing, and none for a single letter but the same in another case', () => {
    expect(nearestNames('', ['a', 'b'])).toEqual([]);
    expect(nearestNames('x', ['a', 'ab', 'X'])).toEqual(['X']);
  });

  it('are those whose distance, counted the slow way, is within the limit', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '_'), minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(name, name, (wanted, known) => {
        const limit = wanted.length < 6 ? 1 : wanted.length < 9 ? 2 : 3;
        expect(nearestNames(wanted, [known])).toEqual(slowDistance(wanted, known) <= limit ? [known] : []);
      }),
      { numRuns: 20_000 },
    );
  });

  it('are found quickly among many, whatever was typed', () => {
    const known = Array.from({ length: 100_000 }, (_, number) => `resource_${number}.view_${number}`);
    const started = performance.now();
    expect(nearestNames('x'.repeat(1_000_000), known)).toEqual([]);
    expect(nearestNames('resource_99999.veiw_99999', known)[0]).toBe('resource_99999.view_99999');
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

/** The textbook recurrence over whole prefixes, remembered and nothing more. */
function slowDistance(a: string, b: string): number {
  const known = new Map<string, number>();
  const distance = (i: number, j: number): number => {
    if (i === 0 || j === 0) return i + j;
    const seen = known.get(`${i} ${j}`);
    if (seen !== undefined) return seen;
    const ways = [
      distance(i - 1, j) + 1,
      distance(i, j - 1) + 1,
      distance(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
    ];
    if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
      ways.push(distance(i - 2, j - 2) + 1);
    known.set(`${i} ${j}`, Math.min(...ways));
    return Math.min(...ways);
  };
  return distance(a.length, b.length);
}

describe('the question a refusal ends with', () => {
  it.each([
    [[], ''],
    [['a'], ', did you mean "a"?'],
    [['a', 'b'], ', did you mean "a" or "b"?'],
    [['a', 'b', 'c'], ', did you mean "a", "b" or "c"?'],
  ])('names %j', (names, clause) => {
    expect(didYouMean(names)).toBe(clause);
  });
});
