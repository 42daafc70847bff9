import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as catalogue from '../../../src/domain/decision/catalogue.ts';
import * as decision from '../../../src/domain/decision/decide.ts';
import * as lists from '../../../src/domain/decision/effective-access.ts';
import * as changes from '../../../src/domain/decision/next-change.ts';
import * as compiled from '../../../src/domain/decision/user-access.ts';
import { type Breakage, type Load, withBrokenBuild } from '../../support/broken-build.ts';
import { answersOf, type DecisionBuild, questions, referenceAnswers, worlds } from '../../support/worlds.ts';

/** A rule, and the sources without it. */
type Rule = readonly [string, Breakage['replace'], Breakage['by']];

const rules: Readonly<Record<string, readonly Rule[]>> = {
  'domain/decision/decide.ts': [
    ['a permission must be registered', 'if (number === undefined) return deny.unknown_permission;', ''],
    [
      'an unknown user is told from one without grants',
      'return deny.unknown_user',
      'return deny.not_granted',
    ],
    ['an inactive user may do nothing', 'if (!access.user.active) return deny.inactive_user;', ''],
    ['a deny exception denies', 'if (standing?.denied?.has(number)) return deny.denied_by_exception;', ''],
    ['a deny exception concerns its permission only', 'standing?.denied?.has(number)', 'standing?.denied'],
    ['what is given is allowed', 'if (standing?.given.has(number)) isGiven = true;', ''],
    ['a grant gives nothing in itself', 'standing?.given.has(number)', 'standing'],
    ['what is not given is not allowed', 'isGiven ? allow : deny.not_granted', 'allow'],
    ['what holds above holds below', 'place = parentOf(place)', 'place = undefined'],
    [
      'what holds everywhere holds at a scope',
      'place !== undefined; place =',
      "place !== undefined && (place !== '' || scope === ''); place =",
    ],
    [
      'what holds at the scope itself holds there',
      'place: Scope | undefined = scope;',
      'place = parentOf(scope);',
    ],
    ['a deny above is stronger than what is given below', 'isGiven = true;', 'return allow;'],
    [
      'a deny is stronger than what is given beside it',
      `    if (standing?.denied?.has(number)) return deny.denied_by_exception;
    if (standing?.given.has(number)) isGiven = true;`,
      `    if (standing?.given.has(number)) isGiven = true;
    else if (standing?.denied?.has(number)) return deny.denied_by_exception;`,
    ],
    [
      'a deny at the scope itself denies',
      'if (standing?.denied?.has(number)) return',
      'if (place !== scope && standing?.denied?.has(number)) return',
    ],
    [
      'what is given above counts where something else is given',
      'if (standing?.given.has(number)) isGiven = true;',
      'if (standing) return standing.given.has(number) ? allow : deny.not_granted;',
    ],
    [
      'an unknown permission is said before an unknown user',
      `  if (number === undefined) return deny.unknown_permission;
  if (access === undefined) return deny.unknown_user;`,
      `  if (access === undefined) return deny.unknown_user;
  if (number === undefined) return deny.unknown_permission;`,
    ],
    [
      'an unknown permission is said before an inactive user',
      'if (number === undefined) return',
      'if (access?.user.active !== false && number === undefined) return',
    ],
    [
      'an inactive user is said before an exception',
      'if (!access.user.active) return',
      'if (!access.user.active && access.user.exceptions.length === 0) return',
    ],
  ],
  'domain/decision/user-access.ts': [
    ['what is not in force does not count', 'if (!inForce(held, at)) continue;', ''],
    ['what is held beside another counts', 'if (beside) beside.push(held);', 'if (beside) continue;'],
    [
      'what is held counts where it is held',
      'byScope.set(held.scope, [held])',
      "byScope.set('' as Scope, [held])",
    ],
    ['grants count', 'of [...user.grants, ...user.exceptions]', 'of user.exceptions'],
    ['exceptions count', 'of [...user.grants, ...user.exceptions]', 'of user.grants'],
    [
      'one role is shared only if nothing is beside it',
      "only && held.length === 1 && 'role' in only",
      "only && 'role' in only",
    ],
    [
      'one role gives what it gives',
      'given: catalogue.permissionsOf(only.role)',
      'given: catalogue.emptySet()',
    ],
    ['one of many roles gives what it gives', 'given.addAll(catalogue.permissionsOf(one.role));', ''],
    [
      'what is beside a role leaves its set as it is',
      'const given = catalogue.emptySet();',
      "const given = only && 'role' in only ? catalogue.permissionsOf(only.role) : catalogue.emptySet();",
    ],
    ['an exception for a retired permission is none', 'if (number === undefined) continue;', ''],
    ['an allow exception allows', 'given.add(number);', ';'],
    ['an allow exception does not deny', "if (one.effect === 'allow') given.add(number);\n    else {", '{'],
    ['a deny exception denies', 'denied.add(number);', ''],
    ['one deny of many is one of many', 'denied ??= catalogue', 'denied = catalogue'],
    ['a start ends what was compiled before', 'of [startOf(held), endOf(held)]', 'of [endOf(held)]'],
    ['an expiry ends what was compiled before', 'of [startOf(held), endOf(held)]', 'of [startOf(held)]'],
    ['a bound itself belongs to what comes after', 'if (bound <= at) from', 'if (bound < at) from'],
    ['the last bound before counts', 'from = Math.max(from, bound)', 'from = bound'],
    ['the first bound after counts', 'until = Math.min(until, bound)', 'until = bound'],
  ],
  'domain/decision/bitset.ts': [
    [
      'a word has 32 numbers',
      '(this.#words[number >>> 5] as number) & (1',
      '(this.#words[number >>> 6] as number) & (1',
    ],
    [
      'a number has its own word',
      'this.#words[number >>> 5] = (this.#words[number >>> 5] as number) | (1 << (number & 31))',
      'this.#words[0] = (this.#words[0] as number) | (1 << (number & 31))',
    ],
    ['a number has its own bit', '& (1 << (number & 31))', '& (1 << (number & 15))'],
    ['there is room for the last', '(size + 31) >>> 5', 'size >>> 5'],
    ['adding one keeps the others', '= (this.#words[number >>> 5] as number) | (1', '= (1'],
    ['adding many keeps the others', '(this.#words[place] as number) | word', 'word'],
    ['removing takes what is in the other', '& ~word', '& word'],
    ['removing takes nothing else', '& ~word', '& 0'],
    ['every word counts', 'place < this.#words.length', 'place < 1'],
    ['every number of a word is told', 'word &= word - 1', 'word = 0'],
    ['the numbers of later words are higher', '(place << 5) + 31', '31'],
    ['one word with something is not empty', '.every((word)', '.some((word)'],
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
      'the parent of a scope is one segment shorter',
      'let end = scope.length - 1',
      "let end = scope.indexOf('/')",
    ],
    ['the parent of one segment is everywhere', 'end === -1 ? everywhere', 'end === -1 ? undefined'],
    ['a parent is all that stands before the slash', 'scope.slice(0, end)', 'scope.slice(0, end - 1)'],
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
    ['a closure includes the role itself', 'new Set([role])', 'new Set(this.#includes.get(role))'],
    [
      'a closure goes as deep as there are includes',
      'for (const next of reached)',
      'for (const next of [...reached])',
    ],
    ['a closure includes what is included', 'reached.add(included)', 'included'],
    [
      'the permissions of a role are those of its closure',
      'for (const reached of this.closureOf(role))',
      'for (const reached of [role])',
    ],
    ['a role gives no retired permission', 'if (number !== undefined) given.add', 'given.add'],
    [
      'each permission has its own number',
      'this.#numbers.set(slug, number)',
      'this.#numbers.set(slug, number >> 1)',
    ],
    ['numbers are in the order of the slugs', '].sort();', '];'],
    ['a number stands for its slug', 'this.#slugs[number] as', 'this.#slugs[number + 1] as'],
    [
      'sets are remembered by role',
      'remembered(this.#permissions, role,',
      "remembered(this.#permissions, 'viewer' as RoleKey,",
    ],
    [
      'closures are remembered by role',
      'remembered(this.#closures, role,',
      "remembered(this.#closures, 'viewer' as RoleKey,",
    ],
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
      'what is remembered is remembered by its name',
      'const found = known.get(key);',
      'const found = [...known.values()][0];',
    ],
  ],
  'domain/decision/next-change.ts': [
    ['nothing changes for an inactive user', 'if (!user.active) return null;', ''],
    ['a start changes something', '{ instant: startOf(one), one, tally, by: 1 },', ''],
    ['an expiry changes something', '{ instant: endOf(one), one, tally, by: -1 },', ''],
    ['a boundary that changes nothing is passed over', ' && shown.differs()', ''],
    ['what holds together changes together', 'boundaries[place + 1]?.instant !== instant && ', ''],
    ['exceptions change something', '[...user.grants, ...user.exceptions]', 'user.grants'],
    ['grants change something', '[...user.grants, ...user.exceptions]', 'user.exceptions'],
    ['the next change is the earliest', 'a.instant - b.instant', 'b.instant - a.instant'],
    ['the next change comes later', 'instant > at', 'instant < at'],
    ['what holds above changes something', 'covers(one.scope, scope)', 'one.scope === scope'],
    ['what holds elsewhere changes nothing', 'covers(one.scope, scope)', 'true'],
    ['what is in force counts from the start', 'if (inForce(one, at)) tally.count(one, 1);', ''],
    ['what counts now is remembered', 'shown.remember();', ''],
    ['a change of included roles is a change', 'of this.#catalogue.closureOf(one.role)', 'of [one.role]'],
    ['a change of permissions is a change', 'of this.#catalogue.permissionsOf(one.role)', 'of [] as never[]'],
    ['an exception for a retired permission changes nothing', 'if (permission !== undefined)', ''],
    ['a deny takes away', "one.effect === 'allow' ? this.#given : this.#denied", 'this.#given'],
    ['what two give, one may take back', '(tally.get(name) ?? 0) + by', 'by'],
  ],
  'domain/decision/effective-access.ts': [
    ['an inactive user has nothing', 'if (!user.active) return nothing;', ''],
    ['roles held elsewhere are left out', 'covers(grant.scope, scope) && ', ''],
    ['roles not in force are left out', ' && inForce(grant, at)', ''],
    ['included roles are listed', 'of catalogue.closureOf(grant.role)) roles', 'of [grant.role]) roles'],
    ['a role that is there does not hide another', '!roles.has(grant.role)', 'roles.size === 0'],
    ['what is given is listed', 'if (standing) allowed.addAll(standing.given);', ''],
    ['what is denied is left out', 'allowed.removeAll(denied);', ''],
    [
      'what is denied at any scope above is left out',
      'if (standing?.denied) denied.addAll(standing.denied);',
      'if (standing?.denied && place === scope) denied.addAll(standing.denied);',
    ],
    [
      'what is denied above is left out of what is given below',
      'if (standing?.denied) denied.addAll(standing.denied);',
      'if (standing?.denied) allowed.removeAll(standing.denied);',
    ],
    ['what is given above is listed', 'place = parentOf(place)', 'place = undefined'],
    [
      'what is given at the scope itself is listed',
      'place: Scope | undefined = scope;',
      'place = parentOf(scope);',
    ],
    [
      'a set of a role stays what it is',
      'const allowed = catalogue.emptySet();',
      'const allowed = standings.get(scope)?.given ?? catalogue.emptySet();',
    ],
    ['roles are sorted', '[...roles].sort()', '[...roles]'],
    ['an inactive user holds nothing anywhere', 'if (!user.active) return allowed;', ''],
    ['only scopes where it holds are listed', 'filter(holdsAt)', 'filter(() => true)'],
    ['scopes of grants are listed', '[...user.grants, ...concerned].map', 'concerned.map'],
    ['scopes of exceptions are listed', '[...user.grants, ...concerned].map', 'user.grants.map'],
    ['scopes are sorted', 'filter(holdsAt).sort()', 'filter(holdsAt)'],
    [
      'scopes of anything are not those of everything',
      '!allowedAt(access, scope).isEmpty()',
      'effectiveAccess(access, scope).roles.length > 0',
    ],
    [
      'only denies are denied',
      "exception.effect === 'deny' && inForce(exception, access.at)",
      'inForce(exception, access.at)',
    ],
    [
      'only denies in force are denied',
      "exception.effect === 'deny' && inForce(exception, access.at)",
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
    ...(await load<typeof compiled>('domain/decision/user-access.ts')),
    ...(await load<typeof decision>('domain/decision/decide.ts')),
    ...(await load<typeof lists>('domain/decision/effective-access.ts')),
    ...(await load<typeof changes>('domain/decision/next-change.ts')),
  });
}

it('the build that is not broken agrees in every case, and so does a copy of it', async () => {
  expect(
    casesToDisagreement({ ...catalogue, ...compiled, ...decision, ...lists, ...changes }),
  ).toBeUndefined();
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
    ['stands there more than once', 'parentOf', 2],
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
