import { describe, expect, test } from 'vitest';
import { Catalogue } from '../../src/domain/decision/catalogue.ts';
import { explain, type GivenGrant } from '../../src/domain/decision/explain.ts';
import type { PermissionSlug, RoleKey, Scope } from '../../src/domain/ids.ts';

const permission = 'orders_view' as PermissionSlug;
const everywhere = '' as Scope;
const key = (name: string) => name as RoleKey;

/** Roles in levels of two, each of which includes both of the next level: 2 to the power of `levels` ways down. */
function ladder(levels: number) {
  const includes = Array.from({ length: levels }, (_, level) =>
    ['a', 'b'].flatMap((from) =>
      ['a', 'b'].map((to) => ({
        role: key(`${from}${level}`),
        included: key(`${to}${level + 1}`),
        origin: 'baseline',
        withheld: false,
      })),
    ),
  ).flat();
  const edges = ['a', 'b'].map((name) => ({
    role: key(`${name}${levels}`),
    permission,
    origin: 'baseline',
    withheld: false,
  }));
  return { includes, edges };
}

function grantOf(role: string, scope = ''): GivenGrant {
  return {
    role: key(role),
    scope: scope as Scope,
    startsAt: null,
    expiresAt: null,
    origin: 'api',
    reason: null,
    grantedBy: null,
    grantedAt: 0,
  };
}

function explained(levels: number, grants: readonly GivenGrant[]) {
  const rows = ladder(levels);
  const catalogue = new Catalogue({ registered: [permission], ...rows });
  const user = { active: true, grants, exceptions: [] };
  return explain(catalogue, user, rows, { permission, scope: everywhere, at: 0 });
}

describe('paths that branch and meet again', () => {
  test('are told one by one while they are few', () => {
    const { paths } = explained(3, [grantOf('a0')]);
    expect(paths.leftOut).toBe(0);
    const ways = paths.shown.map(({ includes }) => includes.map(({ role }) => role).join(' '));
    expect(new Set(ways).size).toBe(2 ** 3);
  });

  test('are cut to 50 and counted without being walked when they are many', () => {
    const { decision, paths } = explained(40, [grantOf('a0')]);
    expect(decision).toEqual({ allowed: true });
    expect(paths.shown).toHaveLength(50);
    expect(paths.leftOut).toBe(2 ** 40 - 50);
  });

  test('beyond counting are told as a number all the same', () => {
    expect(explained(500, [grantOf('a0')]).paths.leftOut).toBe(Number.MAX_SAFE_INTEGER - 50);
  });

  test('do not crowd out another grant', () => {
    const { paths } = explained(20, [grantOf('a0'), grantOf('b20'), grantOf('a19')]);
    expect(new Set(paths.shown.map(({ grant }) => grant.role))).toEqual(new Set(['a0', 'b20', 'a19']));
  });

  test('of more grants than are shown are counted too', () => {
    const grants = Array.from({ length: 60 }, (_, index) => ({ ...grantOf('b1'), origin: `plan${index}` }));
    const { paths } = explained(1, grants);
    expect(paths.shown).toHaveLength(50);
    expect(paths.leftOut).toBe(10);
  });

  test('end, should includes lead back to where they began', () => {
    const rows = ladder(2);
    const back = { role: key('b2'), included: key('a0'), origin: 'api', withheld: false };
    const includes = [...rows.includes, back];
    const catalogue = new Catalogue({ registered: [permission], includes, edges: rows.edges });
    const user = { active: true, grants: [grantOf('a0')], exceptions: [] };
    const { paths } = explain(
      catalogue,
      user,
      { includes, edges: rows.edges },
      { permission, scope: everywhere, at: 0 },
    );
    expect(paths.shown.length).toBeGreaterThanOrEqual(4);
  });
});

test('what is granted elsewhere gives nothing here', () => {
  const { decision, paths } = explained(1, [grantOf('a0', 'org')]);
  expect(decision).toEqual({ allowed: false, reason: 'not_granted' });
  expect(paths).toEqual({ shown: [], leftOut: 0 });
});
