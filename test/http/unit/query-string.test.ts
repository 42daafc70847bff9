import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseQueryString } from '../../../src/http/query-string.ts';

/** As an ordinary object, to compare with literals. */
function read(text: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parseQueryString(text)));
}

describe('parseQueryString', () => {
  it('reads names and values', () => {
    expect(read('user=alice&scope=org%2Facme&dryRun')).toEqual({
      user: 'alice',
      scope: 'org/acme',
      dryRun: '',
    });
    expect(read('')).toEqual({});
    expect(read('&&a=1&')).toEqual({ a: '1' });
    expect(read('a=b=c')).toEqual({ a: 'b=c' });
    expect(read('=x')).toEqual({ '': 'x' });
  });

  it('takes + for a space and %2B for a plus', () => {
    expect(read('a+b=c+d%2Be')).toEqual({ 'a b': 'c d+e' });
  });

  it('separates at & only', () => {
    expect(read('a=1;b=2')).toEqual({ a: '1;b=2' });
  });

  it('keeps every value of a repeated name', () => {
    expect(read('user=alice&user=bob')).toEqual({ user: ['alice', 'bob'] });
    expect(read('a=1&%61=2&a=')).toEqual({ a: ['1', '2', ''] });
    expect(read('a=%ff&a=1')).toEqual({ a: [null, '1'] });
  });

  it('has no prototype, and __proto__ is a name like any other', () => {
    const query = parseQueryString('__proto__=x&constructor=y&__proto__[admin]=1&toString=z');
    expect(Object.getPrototypeOf(query)).toBeNull();
    expect(Object.keys(query)).toEqual(['__proto__', 'constructor', '__proto__[admin]', 'toString']);
    expect(Object.entries(query)[0]).toEqual(['__proto__', 'x']);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  it.each([
    ['a stray percent sign', 'a=%'],
    ['half an escape', 'a=%4'],
    ['no hex digits', 'a=%zz'],
    ['invalid UTF-8', 'a=%ff'],
    ['truncated UTF-8', 'a=%C3'],
    ['an overlong form', 'a=%C0%AF'],
    ['a surrogate in UTF-8', 'a=%ED%A0%80'],
    ['beyond Unicode', 'a=%F4%90%80%80'],
    ['NUL', 'a=x%00y'],
    ['a raw NUL', 'a=\0'],
    ['raw bytes', 'a=Ã©'],
    ['a raw lone surrogate', 'a=\ud800'],
  ])('makes null of %s', (_what, text) => {
    expect(read(text)).toEqual({ a: null });
  });

  it('makes null under the raw name of an unreadable name', () => {
    expect(read('%ff=x&b%00=y&c=1')).toEqual({ '%ff': null, 'b%00': null, c: '1' });
  });

  it('gives a strict schema of strings something to refuse', () => {
    const schema = z.strictObject({ user: z.string().optional() });
    expect(schema.safeParse(parseQueryString('user=alice')).success).toBe(true);
    for (const text of ['user=a&user=b', 'user=%ff', 'user=%00', '%ff=a', '__proto__=a', 'user[]=a'])
      expect(schema.safeParse(parseQueryString(text)).success, text).toBe(false);
  });

  const readable = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
  test.prop([fc.uniqueArray(fc.tuple(readable, readable), { selector: ([name]) => name })])(
    'gives back what was percent-encoded',
    (pairs) => {
      const text = pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
      expect(new Map(Object.entries(parseQueryString(text)))).toEqual(new Map(pairs));
    },
  );

  test.prop([
    fc.string({ unit: fc.constantFrom('a', '%', '0', 'f', 'C', '3', '=', '&', '+', ';', 'é', '\0') }),
  ])('never throws', (text) => {
    expect(Object.getPrototypeOf(parseQueryString(text))).toBeNull();
  });

  it('finishes on many parameters', () => {
    const repeated = parseQueryString('a=1&'.repeat(100_000));
    expect(repeated['a']).toHaveLength(100_000);
    const distinct = parseQueryString(Array.from({ length: 100_000 }, (_, i) => `${i}=`).join('&'));
    expect(Object.keys(distinct)).toHaveLength(100_000);
  });
});
