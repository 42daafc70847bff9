import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as catalogue from '../../../src/domain/decision/catalogue.ts';
import * as decision from '../../../src/domain/decision/decide.ts';
import * as lists from '../../../src/domain/decision/effective-access.ts';
import * as changes from '../../../src/domain/decision/next-change.ts';
import { type Breakage, type Load, withBrokenBuild } from '../../support/broken-build.ts';
import { answersOf, type DecisionBuild, questions, referenceAnswers, worlds } from '../../support/worlds.ts';

/** A rule, and the sources without it. */
type Rule = readonly [string, Breakage['replace'], Breakage['by']];

const rules: Readonly<Record<string, readonly Rule[]>> = {
  'domain/decision/decide.ts': [
    [
      'a permission must be registered',
      "if (!catalogue.isRegistered(permission)) return deny('unknown_permission');",
      '',
    ],
    [
      'an unknown user is told from one without grants',
      "return deny('unknown_user')",
      "return deny('not_granted')",
    ],
    ['an inactive user may do nothing', "if (!user.active) return deny('inactive_user');", ''],
    [
      'a deny exception denies',
      "if (exceptions.some((exception) => exception.effect === 'deny')) return deny('denied_by_exception');",
      '',
    ],
    [
      'an allow exception allows',
      "if (exceptions.some((exception) => exception.effect === 'allow')) return { allowed: true };",
      '',
    ],
    [
      'an exception concerns its permission only',
      'exception.permission === permission && holds(exception, scope, at)',
      'holds(exception, scope, at)',
    ],
    [
      'an exception concerns its scope only',
      'exception.permission === permission && holds(exception, scope, at)',
      'exception.permission === permission && inForce(exception, at)',
    ],
    [
      'an exception concerns its window only',
      'exception.permission === permission && holds(exception, scope, at)',
      'exception.permission === permission && covers(exception.scope, scope)',
    ],
    [
      'an exception concerns what lies below its scope',
      'exception.permission === permission && holds(exception, scope, at)',
      'exception.permission === permission && exception.scope === scope && inForce(exception, at)',
    ],
    ['a grant gives nothing in itself', '&& catalogue.permissionsOf(grant.role).has(permission)', ''],
    [
      'a grant holds at its scope only',
      'holds(grant, scope, at) && catalogue',
      'inForce(grant, at) && catalogue',
    ],
    [
      'a grant holds in its window only',
      'holds(grant, scope, at) && catalogue',
      'covers(grant.scope, scope) && catalogue',
    ],
    ['one grant of many is enough', 'user.grants.some(', 'user.grants.length > 0 && user.grants.every('],
    [
      'grants count',
      "return granted ? { allowed: true } : deny('not_granted')",
      "return deny('not_granted')",
    ],
    [
      'an unknown permission is said before an unknown user',
      `  if (!catalogue.isRegistered(permission)) return deny('unknown_permission');
  if (user === undefined) return deny('unknown_user');`,
      `  if (user === undefined) return deny('unknown_user');
  if (!catalogue.isRegistered(permission)) return deny('unknown_permission');`,
    ],
    [
      'an unknown permission is said before an inactive user',
      "if (!catalogue.isRegistered(permission)) return deny('unknown_permission');",
      "if (user?.active !== false && !catalogue.isRegistered(permission)) return deny('unknown_permission');",
    ],
    [
      'an inactive user is said before an exception',
      "if (!user.active) return deny('inactive_user');",
      "if (!user.active && user.exceptions.length === 0) return deny('inactive_user');",
    ],
    [
      'a deny exception is stronger than an allow exception',
      "  if (exceptions.some((exception) => exception.effect === 'deny'))",
      "  if (exceptions[0]?.effect === 'deny')",
    ],
    [
      'a deny exception is stronger than a grant',
      "if (exceptions.some((exception) => exception.effect === 'deny')) return",
      "if (user.grants.length === 0 && exceptions.some((exception) => exception.effect === 'deny')) return",
    ],
  ],
  'domain/scopes.ts': [
    ['a scope ends at a slash', "&& asked[holder.length] === '/'", ''],
    [
      'what holds above holds below',
      "return asked.startsWith(holder) && asked[holder.length] === '/';",
      'return false;',
    ],
    [
      'what holds below does not hold above',
      'if (holder === everywhere || holder === asked) return true;',
      'if (asked === everywhere || holder === asked || holder.startsWith(asked)) return true;',
    ],
    ['the empty scope is everywhere', 'holder === everywhere || holder === asked', 'holder === asked'],
    ['a scope covers itself', 'holder === everywhere || holder === asked', 'holder === everywhere'],
    [
      'a parent is a beginning, not an end',
      "asked.startsWith(holder) && asked[holder.length] === '/'",
      'asked.endsWith(holder)',
    ],
    [
      'more than one level below counts',
      "asked[holder.length] === '/'",
      "asked[holder.length] === '/' && !asked.slice(holder.length + 1).includes('/')",
    ],
    [
      'letters are compared as they are',
      'asked.startsWith(holder)',
      'asked.toLowerCase().startsWith(holder.toLowerCase())',
    ],
  ],
  'domain/grants.ts': [
    ['a window includes its start', 'startOf(window) <= at', 'startOf(window) < at'],
    ['a window excludes its end', 'at < endOf(window)', 'at <= endOf(window)'],
    ['a window has a start', 'startOf(window) <= at && ', ''],
    ['a window has an end', ' && at < endOf(window)', ''],
    ['the instant 0 is a start like any other', 'window.startsAt ??', 'window.startsAt ||'],
    ['the instant 0 is an end like any other', 'window.expiresAt ??', 'window.expiresAt ||'],
    ['no start is always', 'Number.NEGATIVE_INFINITY', '0'],
    ['no end is never', 'Number.POSITIVE_INFINITY', '4'],
  ],
  'domain/decision/catalogue.ts': [
    ['a closure includes the role itself', 'new Set([role])', 'new Set(includes.get(role))'],
    [
      'a closure goes as deep as there are includes',
      'for (const next of reached) for',
      'for (const next of [...reached]) for',
    ],
    ['a closure includes what is included', 'reached.add(included)', 'included'],
    [
      'the permissions of a role are those of its closure',
      'for (const reached of closureOf(role))',
      'for (const reached of [role])',
    ],
    ['a role gives no retired permission', 'if (registered.has(permission)) given.add', 'given.add'],
    [
      'a tombstone withholds',
      'for (const row of rows) if (row.withheld)',
      'for (const row of rows) if (false)',
    ],
    [
      'a tombstone given as an edge is no edge',
      `    if (!row.withheld) remembered(targets, row.role, () => new Set<Target>()).add(targetOf(row));
  for (const row of rows) if (row.withheld) targets.get(row.role)?.delete(targetOf(row));`,
      '    remembered(targets, row.role, () => new Set<Target>()).add(targetOf(row));',
    ],
    [
      'a tombstone withholds its own edge only',
      'targets.get(row.role)?.delete(targetOf(row))',
      'targets.delete(row.role)',
    ],
    [
      'a tombstone withholds from its own role only',
      'targets.get(row.role)?.delete(targetOf(row))',
      'for (const of of targets.values()) of.delete(targetOf(row))',
    ],
    [
      'a tombstone withholds what a later row gives',
      `    if (!row.withheld) remembered(targets, row.role, () => new Set<Target>()).add(targetOf(row));
  for (const row of rows) if`,
      `    if (!row.withheld) remembered(targets, row.role, () => new Set<Target>()).add(targetOf(row));
    else if`,
    ],
    [
      'tombstones withhold permissions too',
      'standing(rows.edges, ',
      'standing(rows.edges.filter((row) => !row.withheld), ',
    ],
    [
      'tombstones withhold includes too',
      'standing(rows.includes, ',
      'standing(rows.includes.filter((row) => !row.withheld), ',
    ],
    [
      'an edge of several origins is one edge',
      'new Set<Target>()).add(targetOf(row))',
      'new Set<Target>())[targets.get(row.role)?.has(targetOf(row)) ? "delete" : "add"](targetOf(row))',
    ],
    [
      'one origin is enough',
      'for (const row of rows)\n    if (!row.withheld)',
      'for (const [index, row] of rows.entries())\n    if (!row.withheld && rows.some((other, at) => at !== index && other.role === row.role && targetOf(other) === targetOf(row)))',
    ],
    [
      'closures are remembered by role',
      'const found = known.get(key);',
      'const found = [...known.values()][0];',
    ],
  ],
  'domain/decision/next-change.ts': [
    ['nothing changes for an inactive user', 'if (!user.active) return null;', ''],
    ['a start changes something', '{ instant: startOf(one), one, by: 1 },', ''],
    ['an expiry changes something', '{ instant: endOf(one), one, by: -1 },', ''],
    ['a boundary that changes nothing is passed over', ' && tally.differs()', ''],
    ['what holds together changes together', 'boundaries[place + 1]?.instant !== instant && ', ''],
    ['exceptions change something', '[...user.grants, ...user.exceptions]', 'user.grants'],
    ['grants change something', '[...user.grants, ...user.exceptions]', 'user.exceptions'],
    ['the next change is the earliest', 'a.instant - b.instant', 'b.instant - a.instant'],
    ['the next change comes later', 'instant > at', 'instant < at'],
    ['what holds above changes something', 'covers(one.scope, scope)', 'one.scope === scope'],
    ['what holds elsewhere changes nothing', 'covers(one.scope, scope)', 'true'],
    ['what is in force counts from the start', 'if (inForce(one, at)) tally.count(one, 1);', ''],
    ['what counts now is remembered', 'tally.remember();', ''],
    ['a change of included roles is a change', 'of this.#catalogue.closureOf(one.role)', 'of [one.role]'],
    ['a change of permissions is a change', 'of this.#catalogue.permissionsOf(one.role)', 'of [] as never[]'],
    [
      'an exception for a retired permission changes nothing',
      'this.#catalogue.isRegistered(one.permission)',
      'true',
    ],
    ['a deny takes away', "one.effect === 'allow' ? this.#given : this.#denied", 'this.#given'],
    ['what two give, one may take back', '(tally.get(name) ?? 0) + by', 'by'],
  ],
  'domain/decision/effective-access.ts': [
    ['an inactive user has nothing', 'if (!user.active) return nothing;', ''],
    ['the lists leave out what does not hold', 'if (!holds(grant, scope, at)) continue;', ''],
    [
      'the lists leave out exceptions that do not hold',
      'user.exceptions.filter((exception) => holds(exception, scope, at))',
      'user.exceptions',
    ],
    ['included roles are listed', 'of catalogue.closureOf(grant.role)) roles', 'of [grant.role]) roles'],
    [
      'an allow exception is listed',
      "if (effect === 'allow' && catalogue.isRegistered(permission)) permissions.add(permission)",
      'if (permission === undefined) permissions.add(permission)',
    ],
    ['an allow exception lists no retired permission', ' && catalogue.isRegistered(permission)', ''],
    [
      'a deny exception takes from the list',
      "if (effect === 'deny') permissions.delete(permission)",
      'if (effect === undefined) permissions.delete(permission)',
    ],
    [
      'a deny exception takes what an allow exception gave',
      `permissions.add(permission);
  for (const { effect, permission } of exceptions) if`,
      `permissions.add(permission);
    else if`,
    ],
    ['permissions are sorted', '[...permissions].sort()', '[...permissions]'],
    ['roles are sorted', '[...roles].sort()', '[...roles]'],
    ['only scopes where it holds are listed', 'filter(holdsAt)', 'filter(() => true)'],
    ['scopes of grants are listed', '[...user.grants, ...concerned].map', 'concerned.map'],
    ['scopes of exceptions are listed', '[...user.grants, ...concerned].map', 'user.grants.map'],
    ['scopes are sorted', 'filter(holdsAt).sort()', 'filter(holdsAt)'],
    [
      'scopes of anything are not those of everything',
      'effectiveAccess(catalogue, user, scope, at).permissions.length > 0',
      'effectiveAccess(catalogue, user, scope, at).roles.length > 0',
    ],
    [
      'only denies are denied',
      "exception.effect === 'deny' && holds(exception, exception.scope, at)",
      'holds(exception, exception.scope, at)',
    ],
    [
      'only denies in force are denied',
      "exception.effect === 'deny' && holds(exception, exception.scope, at)",
      "exception.effect === 'deny'",
    ],
    [
      'only denies of the permission are denied',
      'const denies = concerned.filter',
      'const denies = user.exceptions.filter',
    ],
  ],
};

const cases = fc.sample(fc.tuple(worlds, questions), { seed: 20_250_101, numRuns: 3_000 });
const expected = cases.map(([world, question]) => referenceAnswers(world, question));

/** How many cases it takes to find out that a build is broken; undefined if none shows it. */
function casesToDisagreement(build: DecisionBuild): number | undefined {
  const found = cases.findIndex(
    ([world, question], index) => !isDeepStrictEqual(answersOf(build, world, question), expected[index]),
  );
  return found === -1 ? undefined : found + 1;
}

async function comparing(load: Load): Promise<number | undefined> {
  return casesToDisagreement({
    ...(await load<typeof catalogue>('domain/decision/catalogue.ts')),
    ...(await load<typeof decision>('domain/decision/decide.ts')),
    ...(await load<typeof lists>('domain/decision/effective-access.ts')),
    ...(await load<typeof changes>('domain/decision/next-change.ts')),
  });
}

it('the build that is not broken agrees in every case, and so does a copy of it', async () => {
  expect(casesToDisagreement({ ...catalogue, ...decision, ...lists, ...changes })).toBeUndefined();
  expect(await withBrokenBuild([], comparing, 'domain')).toBeUndefined();
});

describe.each(Object.entries(rules))('%s without the rule that', (file, ofFile) => {
  it.each(ofFile)('%s is found out', async (_rule, replace, by) => {
    const found = await withBrokenBuild({ file, replace, by }, comparing, 'domain');
    expect(found).toBeDefined();
  });
});

describe('a breakage', () => {
  it.each([
    ['no longer stands there', 'return deny("unknown_user")', 0],
    ['stands there more than once', 'exceptions.some', 2],
  ])('whose text %s fails its test', async (_what, replace, places) => {
    const breaking = withBrokenBuild({ file: 'domain/decision/decide.ts', replace, by: '' }, async () => {});
    await expect(breaking).rejects.toThrow(`stands ${places} times in src/domain/decision/decide.ts`);
  });

  it('leaves the real build as it is', async () => {
    const breakage = { file: 'domain/scopes.ts', replace: "everywhere = ''", by: "everywhere = '*'" };
    const everywheres = await withBrokenBuild(breakage, async (load) => [
      (await load<typeof import('../../../src/domain/scopes.ts')>('domain/scopes.ts')).everywhere,
      (await import('../../../src/domain/scopes.ts')).everywhere,
    ]);
    expect(everywheres).toEqual(['*', '']);
  });
});
