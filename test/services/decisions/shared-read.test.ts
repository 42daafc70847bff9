import { setImmediate as endOfTurn, setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { shareReads, turnsToJoin } from '../../../src/services/decisions/shared-read.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';

/** Who asks when, and how long each read takes, in milliseconds. */
interface Rush {
  readonly arrivals: readonly number[];
  readonly durations: readonly number[];
}

const rushes: fc.Arbitrary<Rush> = fc.record({
  arrivals: fc.array(fc.nat(12), { minLength: 1, maxLength: 12 }),
  durations: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
});

/** Throws when somebody gets the outcome of a read that began before they asked, or when two reads are under way at once. */
async function play(share: typeof shareReads, { arrivals, durations }: Rush): Promise<void> {
  let clock = 0;
  let underWay = 0;
  const waited: number[] = [];
  const ask = share(async (waiting) => {
    const began = ++clock;
    expect(underWay, 'reads under way').toBe(0);
    underWay += 1;
    waited.push(waiting);
    await pause(durations[waited.length % durations.length]);
    underWay -= 1;
    return began;
  });
  const asks = arrivals.map(async (milliseconds) => {
    await pause(milliseconds);
    const asked = ++clock;
    expect(await ask(), 'when the read began').toBeGreaterThan(asked);
  });
  await Promise.all(asks);
  expect(waited.reduce((sum, waiting) => sum + waiting)).toBe(arrivals.length);
}

describe('a shared read', () => {
  test('began after whoever gets its outcome asked, and is the only one under way', async () => {
    await fc.assert(
      fc.asyncProperty(rushes, (rush) => play(shareReads, rush)),
      { numRuns: 60 },
    );
  });

  test('is one for all who ask within some turns, and one more for all who come while it is under way', async () => {
    const release: (() => void)[] = [];
    const ask = shareReads(() => new Promise<void>((resolve) => release.push(resolve)));
    const first = [ask(), ask()];
    for (let turn = 1; turn < turnsToJoin; turn += 1) {
      await endOfTurn();
      first.push(ask());
    }
    await endOfTurn();
    await endOfTurn();
    expect(release).toHaveLength(1);
    const second = [ask(), ask()];
    await endOfTurn();
    expect(release).toHaveLength(1);
    release[0]?.();
    await Promise.all(first);
    // Who was just answered asks again.
    second.push(ask());
    while (release.length < 2) await endOfTurn();
    release[1]?.();
    await Promise.all(second);
    expect(release).toHaveLength(2);
  });

  test('that fails fails for those who waited for it, and the next is a new one (C-11)', async () => {
    let fails = true;
    const ask = shareReads(() => (fails ? Promise.reject(new Error('cut')) : Promise.resolve('read')));
    const unlucky = [ask(), ask()];
    for (const one of unlucky) await expect(one).rejects.toThrow('cut');
    fails = false;
    expect(await ask()).toBe('read');
  });
});

const file = 'services/decisions/shared-read.ts';
const breakages: Readonly<Record<string, Breakage>> = {
  'those who come later share the read that is under way': {
    file,
    replace: '      next = undefined;\n',
    by: '      reading.finally(() => { next = undefined; }).catch(() => {});\n',
  },
  'what was read is given again': { file, replace: '      next = undefined;\n', by: '' },
  'the next read does not wait for the one under way': {
    file,
    replace: 'underWay.then(joinersAreIn, joinersAreIn)',
    by: 'joinersAreIn()',
  },
};

test.for(Object.entries(breakages))('a build is found out in which %s', async ([, breakage]) => {
  await withBrokenBuild(
    breakage,
    async (load) => {
      const broken = await load<{ shareReads: typeof shareReads }>(file);
      const plays = fc.asyncProperty(rushes, (rush) => play(broken.shareReads, rush));
      await expect(fc.assert(plays, { numRuns: 60, endOnFailure: true })).rejects.toThrow();
    },
    'services/decisions',
  );
});
