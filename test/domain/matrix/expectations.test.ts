import { describe, expect, test } from 'vitest';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import { checkExpectations } from '../../../src/domain/matrix/expectations/check.ts';
import { parseExpectations } from '../../../src/domain/matrix/expectations/parse.ts';
import { mergeLayers } from '../../../src/domain/matrix/layers.ts';
import { vocabularyOf } from '../../../src/domain/matrix/references.ts';
import { read } from './reading.ts';

const layer = read(`version: 1
permissions:
  orders: { view_order: See, load_order: Load }
  prices: { view_price: See }
roles:
  viewer: { name: V, description: V, permissions: [orders.view_order] }
  loader: { name: L, description: L, includes: [viewer], permissions: [orders.load_order] }
`);
const merged = mergeLayers([builtinLayer, layer]);
const names = {
  roles: new Set<string>(merged.roles.keys()),
  permissions: vocabularyOf(layer.permissions, builtinLayer.permissions),
};

const parse = (tests: string) => parseExpectations('t.yaml', `version: 1\ntests:\n${tests}`, names);
const check = (tests: string) => checkExpectations(merged, parse(tests));
/** What is not met, by place. */
const unmet = (tests: string) =>
  check(tests).outcomes.flatMap(({ expectation, explanation }) =>
    explanation ? [`${expectation.place} ${expectation.permission}`] : [],
  );

function faultsOf(tests: string): string[] {
  try {
    parse(tests);
  } catch (error) {
    return (error as Error).message.split('\n');
  }
  throw new Error('the tests were accepted');
}

describe('what is expected is decided as the service would', () => {
  test('through includes, in all notations, and nothing else', () => {
    expect(
      unmet(`
  - { roles: [loader], can: [orders.view_order, orders:load_order], cannot: [prices_view_price] }
  - { roles: [viewer], can: [orders.view_order], cannot: [orders.load_order, "prices.*"] }
  - { roles: [], cannot: ["*"] }
  - { roles: [admin], can: [rolecall.check], cannot: [orders.view_order] }`),
    ).toEqual([]);
  });

  test('where the role is held and below, and nowhere else', () => {
    expect(
      unmet(`
  - { roles: [loader@org/a], scope: org/a, can: [orders.load_order] }
  - { roles: [loader@org/a], scope: org/a/b, can: [orders.load_order] }
  - { roles: [loader@org/a], scope: org, cannot: [orders.load_order] }
  - { roles: [loader@org/a], scope: org/ab, cannot: [orders.load_order] }
  - { roles: [loader@org/a], cannot: [orders.load_order] }
  - { roles: [viewer, loader@org/a], scope: org/b, can: [orders.view_order], cannot: [orders.load_order] }`),
    ).toEqual([]);
  });

  test('what is otherwise is found, at its place, with every way that gives it or the roles that would', () => {
    const { outcomes } = check(`
  - roles: [loader]
    can: [prices.view_price]
    cannot: [orders.load_order, orders.view_order]
  - { roles: [viewer], can: [orders.load_order] }`);
    const found = outcomes.map(({ expectation, explanation }) => ({
      place: expectation.place,
      decision: explanation?.decision,
      ways: explanation?.paths.shown.map(({ includes, edge }) => [...includes, edge].map(({ role }) => role)),
      nearest: explanation?.nearest.shown,
    }));
    const denied = { allowed: false, reason: 'not_granted' };
    expect(found).toEqual([
      { place: 't.yaml:5:11', decision: denied, ways: [], nearest: [] },
      { place: 't.yaml:6:14', decision: { allowed: true }, ways: [['loader']], nearest: [] },
      { place: 't.yaml:6:33', decision: { allowed: true }, ways: [['viewer', 'viewer']], nearest: [] },
      {
        place: 't.yaml:7:30',
        decision: denied,
        ways: [],
        nearest: [{ role: 'loader', otherPermissions: 0 }],
      },
    ]);
  });
});

describe('the cells of role x permission that are covered', () => {
  const coveredBy = (tests: string) =>
    Object.fromEntries(check(tests).coverage.roles.map(({ role, covered }) => [role, covered]));
  const none = { admin: 0, loader: 0, viewer: 0 };

  test('are those of the roles that give what may be, and of all roles held there of what may not', () => {
    expect(coveredBy('  - { roles: [loader, viewer], can: [orders.load_order] }')).toEqual({
      ...none,
      loader: 1,
    });
    expect(coveredBy('  - { roles: [loader, viewer], can: [orders.view_order] }')).toEqual({
      ...none,
      loader: 1,
      viewer: 1,
    });
    expect(coveredBy('  - { roles: [loader, viewer], cannot: [prices.view_price] }')).toEqual({
      ...none,
      loader: 1,
      viewer: 1,
    });
    expect(coveredBy('  - { roles: [loader@x], scope: y, cannot: ["*"] }')).toEqual(none);
  });

  test('are counted once, of all roles and all permissions', () => {
    const { coverage } = check(`
  - { roles: [viewer], can: [orders.view_order] }
  - { roles: [viewer], cannot: [orders.load_order] }
  - { roles: [viewer], can: [orders.view_order] }`);
    const all = builtinLayer.permissions.length + 3;
    expect(coverage).toMatchObject({ covered: 2, cells: 3 * all });
  });
});

test('names that are unknown are refused with file, line, column and the nearest names', () => {
  expect(
    faultsOf(`
  - roles: [loadr, viewer@a//b]
    can: [orders.view_ordr, "price.*"]`),
  ).toEqual([
    't.yaml:4:13 unknown role "loadr", did you mean "loader"?',
    expect.stringMatching(/^t\.yaml:4:27 malformed scope "a\/\/b"/),
    't.yaml:5:11 unknown permission "orders.view_ordr", did you mean "orders.view_order"?',
    't.yaml:5:29 "price.*" matches no permission, did you mean "prices.*"?',
  ]);
});

test.for([
  ['a test that expects nothing', '  - { roles: [viewer] }', 'a test says what somebody "can" or "cannot"'],
  ['a test without roles', '  - { can: [orders.view_order] }', 'a test lacks "roles"'],
  [
    'a member that nobody knows',
    '  - { roles: [], cant: ["*"] }',
    'unknown member "cant", did you mean "can"?',
  ],
  ['a permission twice', '  - { roles: [], can: [orders.view_order], cannot: ["*"] }', 'is expected already'],
  ['tests that are no list', '  a: b', '"tests" must be a list'],
  ['a role that is no text', '  - { roles: [1], can: ["*"] }', 'must be text'],
] as const)('%s is refused', ([, tests, said]) => {
  expect(faultsOf(tests).join('\n')).toContain(said);
});
