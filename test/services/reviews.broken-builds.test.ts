import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { openStage } from '../support/history-stage.ts';
import { type Build, soundBuild } from '../support/replicas.ts';
import { type Review, reviews, reviewWorld } from '../support/reviews.ts';
import { storedWorlds } from '../support/small-worlds.ts';

/** Always the same worlds, so that it is known that they tell. */
const asked = fc.array(reviews, { minLength: 6, maxLength: 8 });
const drawn = fc.sample(fc.tuple(storedWorlds, asked), { seed: 9, numRuns: 40 });

const explain = 'domain/decision/explain.ts';
const chains = 'domain/decision/chains.ts';
const nearest = 'domain/decision/nearest-roles.ts';
const explanationRows = 'storage/read-models/explanation-rows.ts';
const holdersRows = 'storage/read-models/holders-rows.ts';
const holders = 'services/decisions/holders.ts';

/** Each takes one rule out of what explains and lists. */
const breakages: Readonly<Record<string, Breakage | readonly Breakage[]>> = {
  'a grant elsewhere is a path': [
    { file: explain, replace: 'covers(grant.scope, scope) && catalogue.gives', by: 'catalogue.gives' },
    {
      file: explanationRows,
      replace: `where held.scope = any(\${[...scopes]}::text[])) as grants`,
      by: ') as grants',
    },
  ],
  'the exceptions of other permissions are in play': {
    file: explain,
    replace: '(exception) => exception.permission === permission && covers(exception.scope, scope)',
    by: '(exception) => covers(exception.scope, scope)',
  },
  'nothing is said to be still to come': {
    file: explain,
    replace: "startOf(window) > at ? 'not_started' : 'expired'",
    by: "'expired'",
  },
  'what is over comes first': {
    file: explain,
    replace: 'states.indexOf(a.state) - states.indexOf(b.state)',
    by: 'states.indexOf(b.state) - states.indexOf(a.state)',
  },
  'the end of a denial changes nothing': {
    file: explain,
    replace: "const denies = exceptions.filter((exception) => exception.effect === 'deny');",
    by: 'const denies: Exception[] = [];',
  },
  'any boundary is a change': {
    file: explain,
    replace: '.find((bound) => isAllowed(bound) !== isAllowed(at))',
    by: '.at(0)',
  },
  'time makes an inactive user active': {
    file: explain,
    replace: 'isTimely(decision) ? changeAfter(at, giving, exceptions) : null',
    by: 'changeAfter(at, giving, exceptions)',
  },
  'nearest roles are told for what is denied': {
    file: explain,
    replace: "!decision.allowed && decision.reason === 'not_granted'",
    by: '!decision.allowed',
  },
  'roles that only include are never nearest': {
    file: explain,
    replace: '[...rows.edges, ...rows.includes]',
    by: '[...rows.edges]',
  },
  'a role is nearest that gives the most': {
    file: nearest,
    replace: 'a.otherPermissions - b.otherPermissions',
    by: 'b.otherPermissions - a.otherPermissions',
  },
  'what the user has already counts as given': {
    file: nearest,
    replace: 'gained.removeAll(given);',
    by: '',
  },
  'what is denied counts as given': {
    file: nearest,
    replace: 'if (denied) gained.removeAll(denied);',
    by: '',
  },
  'the own edge of a role that includes another is left out': {
    file: chains,
    replace: 'if (this.#catalogue.hasEdge(role, this.#permission))\n      yield',
    by: 'if (this.#catalogue.hasEdge(role, this.#permission) && this.#next(role).length === 0)\n      yield',
  },
  'one way through includes is told': {
    file: chains,
    replace: 'for (const included of this.#next(role)) {',
    by: 'for (const included of this.#next(role).slice(0, 1)) {',
  },
  'paths are counted by their edge only': {
    file: chains,
    replace: 'count = Math.min(count + this.countFrom(included), uncountable);',
    by: 'count = Math.max(count, this.countFrom(included));',
  },
  'the origins of an edge are those of every role': {
    file: chains,
    replace: 'this.#rows.edges.filter((row) => row.role === role)',
    by: 'this.#rows.edges',
  },
  'tombstones are not looked at by edges of one own': {
    file: 'domain/decision/catalogue.ts',
    replace: 'for (const row of rows) if (row.withheld) targets.get(row.role)?.delete(targetOf(row));',
    by: '',
  },
  'an explanation has the grants of the very scope only': {
    file: explanationRows,
    replace: `where held.scope = any(\${[...scopes]}::text[])) as grants`,
    by: `where held.scope = \${scopes[0] as string}) as grants`,
  },
  'an explanation knows no exceptions': {
    file: explanationRows,
    replace: `where held.scope = any(\${[...scopes]}::text[])) as exceptions`,
    by: 'where false) as exceptions',
  },
  'nobody is named as having granted': {
    file: 'storage/granters.ts',
    replace: "'grantedBy', coalesce(",
    by: "'grantedBy', nullif(",
  },
  'everybody with a candidate role is listed': {
    file: holders,
    replace:
      'if (!decide(catalogue, compileAccess(catalogue, access, at), permission, scope).allowed) return undefined;',
    by: '',
  },
  'those who hold by exception only are not listed': {
    file: holdersRows,
    replace: "and user_permissions.scope = places.scope and effect = 'allow'",
    by: 'and false',
  },
  'deny exceptions are not read with the candidates': {
    file: holdersRows,
    replace: `        where scope = any(\${[...scopes]}::text[])) as exceptions`,
    by: `        where scope = any(\${[...scopes]}::text[]) and effect = 'allow') as exceptions`,
  },
  'whoever holds by a role above is not listed': {
    file: holders,
    replace: 'const scopes = scopesCovering(scope);\n        const found',
    by: 'const scopes = [scope];\n        const found',
  },
  'through what somebody holds it counts what is over': {
    file: holders,
    replace: '.filter((held) => inForce(held, at))',
    by: '',
  },
  'a page of candidates is read again from its middle': {
    file: holdersRows,
    replace: `user_roles.scope = places.scope and user_pk > \${after}`,
    by: `user_roles.scope = places.scope and user_pk >= \${after}`,
  },
  'inactive users have roles': {
    file: holders,
    replace: 'held.active && inForce(held, moment.now)',
    by: 'inForce(held, moment.now)',
  },
  'roles that are over are had': {
    file: holders,
    replace: 'held.active && inForce(held, moment.now)',
    by: 'held.active',
  },
  'a role is had through no include': {
    file: holders,
    replace: 'catalogue.closureOf(other).has(role)',
    by: '(other === role)',
  },
  'the second grant of a user is left out at the end of a page': {
    file: holdersRows,
    replace: `(user_pk, pk) > (\${userPk}, \${pk})`,
    by: `(user_pk > \${userPk} or \${pk} < 0)`,
  },
  'the first catalogue is kept for ever': {
    file: 'storage/read-models/catalogue-at.ts',
    replace: 'if (known?.of !== of)',
    by: 'if (!known)',
  },
};

it.concurrent.for(Object.entries(breakages))(
  'a build is found out in which $0',
  { timeout: 600_000 },
  async ([, breakage], { annotate }) => {
    const finding = await withBrokenBuild(breakage, async (load) => {
      const { openRuntime } = await load<Pick<Build, 'openRuntime'>>('runtime.ts');
      const { buildServer } = await load<Pick<Build, 'buildServer'>>('http/server.ts');
      return firstFinding({ openRuntime, buildServer });
    });
    expect(finding).toBeDefined();
    await annotate(String(finding));
  },
);

it('the sound build passes what finds the broken ones out', async () => {
  expect(await firstFinding(soundBuild)).toBeUndefined();
}, 300_000);

async function firstFinding(build: Build): Promise<string | undefined> {
  const stage = await openStage({ build });
  try {
    for (const [index, [world, questions]] of drawn.entries())
      try {
        await reviewWorld(stage, world, questions as readonly Review[]);
      } catch (error) {
        return `in world ${index + 1}: ${(error as Error).message}`;
      }
    return undefined;
  } finally {
    await stage.close();
  }
}
