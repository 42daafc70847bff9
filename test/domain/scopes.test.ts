import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { parseScope, type Scope } from '../../src/domain/ids.ts';
import { covers, everywhere, parentOf } from '../../src/domain/scopes.ts';

// Few letters, and those that stand before and after the slash in order, so that many scopes begin alike.
const segments = fc.array(
  fc.string({ unit: fc.constantFrom('a', 'b', '.', '0', '-'), minLength: 1, maxLength: 2 }),
  {
    maxLength: 4,
  },
);
const scope = segments.map((each) => each.join('/') as Scope);
const scopeBelow = fc.tuple(scope, segments).map(([above, more]) => {
  const all = above === everywhere ? more : [above, ...more];
  return [above, all.join('/') as Scope] as const;
});

describe('a scope covers', () => {
  test.prop([scope, scope], { numRuns: 20_000 })(
    'those whose segments begin with its own, and no others',
    (a, b) => {
      const [upper, lower] = [a, b].map((each) => (each === '' ? [] : each.split('/')));
      expect(covers(a, b)).toBe(upper?.every((segment, index) => segment === lower?.[index]));
    },
  );

  test.prop([scopeBelow], { numRuns: 5_000 })(
    'itself, everything below it and, unless it is that, nothing above',
    ([above, below]) => {
      expect(covers(above, above)).toBe(true);
      expect(covers(above, below)).toBe(true);
      expect(covers(below, above)).toBe(below === above);
    },
  );

  test.prop([scopeBelow, segments], { numRuns: 5_000 })(
    'what is covered by what it covers',
    ([above, below], more) => {
      const deepest = [...(below === '' ? [] : [below]), ...more].join('/') as Scope;
      expect(covers(above, below) && covers(below, deepest)).toBe(true);
      expect(covers(above, deepest)).toBe(true);
    },
  );

  test.prop([scope])('everything if it is the empty one', (any) => {
    expect(covers(everywhere, any)).toBe(true);
    expect(covers(any, everywhere)).toBe(any === everywhere);
  });

  test.prop([scope, scope], { numRuns: 20_000 })('itself and whatever has it among its parents', (a, b) => {
    const path: Scope[] = [];
    for (let place: Scope | undefined = b; place !== undefined; place = parentOf(place)) path.push(place);
    expect(path).toHaveLength(b === everywhere ? 1 : b.split('/').length + 1);
    expect(path.includes(a)).toBe(covers(a, b));
  });

  it.each([
    ['org/ac', 'org/acme'],
    ['org/acme', 'org/ac'],
    ['org/acme', 'org/acme-x'],
    ['org/acme', 'org/acme.'],
    ['org/acme', 'org/acme0'],
    ['org/acme', 'org/Acme'],
    ['org/acme', 'org'],
    ['org/acme', ''],
    ['acme', 'org/acme'],
    ['org', 'org:acme'],
    ['a/b', 'a/c/b'],
    ['.', 'a'],
    ['..', 'a'],
    ['org/..', 'a'],
  ])('not so that "%s" covers "%s"', (above, below) => {
    for (const each of [above, below]) expect(parseScope(each)).toEqual({ ok: true, value: each });
    expect(covers(above as Scope, below as Scope)).toBe(false);
  });
});
