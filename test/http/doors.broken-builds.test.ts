import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { nothingSeen, openStreet, peopled, walk, walks } from '../support/door-walk.ts';
import type { DoorName } from '../support/doors.ts';
import { long } from '../support/long-run.ts';
import { type Build, buildOf } from '../support/replicas.ts';

const tries = 40;
/** Always the same worlds, so that it is known that they tell. */
const drawn = fc.sample(walks(tries), { seed: 9, numRuns: 12 });

const power = 'domain/power.ts';
const guard = 'services/guard.ts';
const edges = 'services/role-edges.ts';
const users = 'services/users.ts';

/** Each takes one rule out of who may change what, and is looked for at doors where it counts. */
const breakages: Readonly<Record<string, readonly [Breakage, ...DoorName[]]>> = {
  'what is given need not be held': [
    {
      file: guard,
      replace: 'if (!mayGive(gift)) beyond.add(gift.permission);',
      by: 'if (!mayGive(gift) && false) beyond.add(gift.permission);',
    },
    'grantRole',
  ],
  'what is held in one scope is given in any': [
    {
      file: power,
      replace: 'covers(grant.scope, gift.scope) && catalogue.gives',
      by: 'catalogue.gives',
    },
    'grantRole',
    'changeGrants',
  ],
  'what is held for a while is given for good': [
    {
      file: power,
      replace: 'return coverWithoutGap(sources, from, until);',
      by: 'return sources.length > 0;',
    },
    'grantRole',
    'setException',
  ],
  'a narrowed key gives what its user has': [
    {
      file: power,
      replace: 'if (holder.narrowedTo !== null && !holder.narrowedTo.has(gift.permission)) return false;',
      by: '',
    },
    'grantRole',
    'setException',
  ],
  'who acts for somebody gives what only that one has': [
    {
      file: guard,
      replace: 'const powers = usersBehind(caller).map(powerOf);',
      by: 'const powers = [powerOf(caller.userId)];',
    },
    'grantRole',
    'createMapping',
  ],
  'escalating counts everywhere': [
    {
      file: guard,
      replace: 'holds(power, { permission: slugFor(escalate), scope: gift.scope, ...now })',
      by: "power.access.grants.some(({ role }) => role === 'escalator')",
    },
    'grantRole',
  ],
  'a denial is forgotten with its user': [
    { file: guard, replace: "'user' in item && item.lifting ?", by: 'false ?' },
    'deleteUser',
    'eraseUser',
  ],
  'a key without a list is given freely': [
    { file: guard, replace: 'growsWithItsUser(item) &&', by: 'false &&' },
    'createKey',
  ],
  'a row of a batch alters what stands freely': [
    {
      file: 'services/grant-changes.ts',
      replace: 'const windows = [grant, change.terms].filter((terms) => terms !== null);',
      by: 'const windows = [change.terms].filter((terms) => terms !== null);',
    },
    'replaceUserRoles',
  ],
  'a role is included freely': [
    {
      file: edges,
      replace: `[{ role: other, ...forGood }]);
        await refuseCycle`,
      by: `[]);
        await refuseCycle`,
    },
    'includeRole',
  ],
  'the permissions of a role are replaced freely': [
    {
      file: edges,
      replace: 'const reach = changing.map(({ slug }) => ({ permission: slug, ...forGood }));',
      by: 'const reach: never[] = [];',
    },
    'replaceRolePermissions',
  ],
  'somebody is reactivated freely': [
    { file: users, replace: '(flips(user) ? [{ user: id }] : [])', by: '[]' },
    'updateUser',
  ],
  'a default role is set freely': [
    {
      file: 'services/settings.ts',
      replace: "if (key === 'default_role') return [before, value];",
      by: "if (key === 'default_role') return [before];",
    },
    'changeSetting',
  ],
  'a claim is mapped freely': [
    {
      file: 'services/mappings.ts',
      replace: `everywhere, [reachOf(mapping)]);
        const existing`,
      by: `everywhere, []);
        const existing`,
    },
    'createMapping',
  ],
  'a key is rotated freely': [
    {
      file: 'services/api-keys.ts',
      replace: "old.scope, [{ key: reachOf(terms), does: 'make' }]);",
      by: 'old.scope, []);',
    },
    'rotateKey',
  ],
  'a matrix is applied freely': [
    {
      file: 'services/matrix/matrix.ts',
      replace: 'forGood.scope, plan.changes.flatMap(reachOf));',
      by: 'forGood.scope, plan.changes.flatMap(reachOf).slice(0, 0));',
    },
    'applyMatrix',
  ],
  'a dry run tells of what is given, not of what is lost': [
    {
      file: 'domain/decision/impact.ts',
      replace: 'lost: before.filter((slug) => !has.has(slug)),',
      by: 'lost: [],',
    },
    'revokeRole',
    'setException',
    'updateUser',
  ],
  'a dry run does not look at what was before': [
    {
      file: 'storage/transaction.ts',
      replace: 'sql`rollback to savepoint tried`.execute();',
      by: 'sql`select 1`.execute();',
    },
    'grantRole',
  ],
};

/** The others take as long and tell of doors that tests of their own stand before as well. */
const tried = Object.entries(breakages).filter((_, index) => long || index % 3 === 0);

it.concurrent.for(tried)(
  'a build is found out in which $0 (A-09)',
  { timeout: 600_000 },
  async ([, [breakage, ...where]], { annotate }) => {
    const found = await withBrokenBuild(breakage, async (load) => findingOf(await buildOf(load), where));
    expect(found).toBeDefined();
    await annotate(String(found));
  },
);

/** What the walks of the drawn worlds through these doors find; undefined for nothing. */
async function findingOf(build: Build, where: readonly DoorName[]): Promise<string | undefined> {
  const street = await openStreet(build);
  const seen = nothingSeen();
  try {
    for (const [number, one] of drawn.entries()) {
      const attempts = one.tried.map((each, index) => ({
        ...each,
        door: where[index % where.length] as DoorName,
      }));
      await walk(street, peopled(one, number), { ...one, tried: attempts }, seen);
    }
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  } finally {
    await street.close();
  }
}
