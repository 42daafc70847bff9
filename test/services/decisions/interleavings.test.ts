import { expect, test } from 'vitest';
import { Mirror } from '../../../src/services/decisions/mirror.ts';
import { UserCache } from '../../../src/services/decisions/user-cache.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';
import { type CacheBuild, explore } from '../../support/cache-interleavings.ts';
import { long, summarize } from '../../support/long-run.ts';

const limits = { writes: 2, fills: 2, invalidations: 2 };

test('in every order of two writes, two fills and two invalidations, what is kept is as of the revision it is kept for (C-10)', {
  timeout: 1_800_000,
}, async () => {
  const explored = await explore(
    { Mirror, UserCache },
    long ? { writes: 3, fills: 3, invalidations: 3 } : limits,
  );
  summarize('C-10, every order of writes, fills and invalidations', { ...explored, stale: 0 });
  expect(explored.states).toBeGreaterThan(500);
});

const mirror = 'services/decisions/mirror.ts';
const cache = 'services/decisions/user-cache.ts';
const breakages: Readonly<Record<string, Breakage | readonly Breakage[]>> = {
  'a fill that began before an invalidation is kept': {
    file: mirror,
    replace: 'revision.value > present.value) return true;',
    by: 'revision.value > present.value) return true;\n    if (revision.value >= 0) return false;',
  },
  'what the journal names is kept': {
    file: mirror,
    replace: 'if (userPk !== null) this.#follower?.forget(userPk);',
    by: '{ void userPk; }',
  },
  'what was read is kept before the copy has come as far': [
    { file: cache, replace: 'await this.#mirror.reach(revision);', by: 'void this.#mirror.reach(revision);' },
    { file: mirror, replace: ' || revision.value > present.value) return true;', by: ') return true;' },
  ],
  'changes are remembered only until the next are read': {
    file: mirror,
    replace: 'const all = [...this.#remembered, ...changes];',
    by: 'const all = [...changes];',
  },
};

test.for(Object.entries(breakages))('a build is found out in which %s', async ([, breakage]) => {
  await withBrokenBuild(breakage, async (load) => {
    const build: CacheBuild = { ...(await load<CacheBuild>(mirror)), ...(await load<CacheBuild>(cache)) };
    await expect(explore(build, limits)).rejects.toThrow(/has the user of revision/);
  });
});
