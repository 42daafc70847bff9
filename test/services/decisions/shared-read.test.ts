import { setImmediate as endOfTurn, setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SharedRead } from '../../../src/services/decisions/shared-read.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';

/** Who comes when, how long each read takes, and how long they wait before they ask with a mark; null asks at once without. */
interface Rush {
  readonly arrivals: readonly { readonly at: number; readonly patience: number | null }[];
  readonly durations: readonly number[];
}

const rushes: fc.Arbitrary<Rush> = fc.record({
  arrivals: fc.array(fc.record({ at: fc.nat(12), patience: fc.option(fc.nat(6)) }), {
    minLength: 1,
    maxLength: 12,
  }),
  durations: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
});

interface Build {
  readonly SharedRead: typeof SharedRead;
}

/** Throws when somebody gets the outcome of a read that began before they came, or when two reads are under way at once. */
async function play(build: Build, { arrivals, durations }: Rush): Promise<void> {
  let clock = 0;
  let underWay = 0;
  let count = 0;
  const shared: number[] = [];
  const reads = new build.SharedRead(
    async () => {
      const began = ++clock;
      expect(underWay, 'reads under way').toBe(0);
      underWay += 1;
      count += 1;
      await pause(durations[count % durations.length]);
      underWay -= 1;
      return began;
    },
    (sharers) => void shared.push(sharers),
  );
  const asks = arrivals.map(async ({ at, patience }) => {
    await pause(at);
    const came = ++clock;
    const { mark } = reads;
    if (patience !== null) await pause(patience);
    expect(await reads.ask(patience === null ? undefined : mark), 'when the read began').toBeGreaterThan(
      came,
    );
  });
  await Promise.all(asks);
  const least = arrivals.filter(({ patience }) => patience === null).length;
  const told = shared.reduce((sum, sharers) => sum + sharers, 0);
  expect(told, 'sharers').toBeGreaterThanOrEqual(least);
  expect(told, 'sharers').toBeLessThanOrEqual(arrivals.length);
  expect(shared).toHaveLength(count);
}

/** A read that ends when the test says so. */
function openHeld() {
  const release: (() => void)[] = [];
  const reads = new SharedRead(() => new Promise<void>((resolve) => release.push(resolve)));
  return { release, reads };
}

describe('a shared read', () => {
  test('began after whoever gets its outcome came, and is the only one under way', async () => {
    await fc.assert(
      fc.asyncProperty(rushes, (rush) => play({ SharedRead }, rush)),
      { numRuns: 60 },
    );
  });

  test('is one for all who ask in a turn, and one more for all who come while it is under way', async () => {
    const { reads, release } = openHeld();
    const first = [reads.ask(), reads.ask()];
    await endOfTurn();
    const second = [reads.ask(), reads.ask()];
    await endOfTurn();
    expect(release).toHaveLength(1);
    release[0]?.();
    await Promise.all(first);
    await endOfTurn();
    release[1]?.();
    await Promise.all(second);
    expect(release).toHaveLength(2);
  });

  test('that began before anybody asked is for all who had come by then, however late they ask', async () => {
    const { reads, release } = openHeld();
    const { mark } = reads;
    const begun = reads.begin();
    await endOfTurn();
    const early = reads.ask(mark);
    release[0]?.();
    await Promise.all([begun, early]);
    await reads.ask(mark);
    expect(release).toHaveLength(1);
    const late = reads.ask(reads.mark);
    await endOfTurn();
    expect(release).toHaveLength(2);
    release[1]?.();
    await late;
  });

  test('that fails fails for those who waited for it, and the next is a new one (C-11)', async () => {
    let fails = true;
    const reads = new SharedRead(() => (fails ? Promise.reject(new Error('cut')) : Promise.resolve('read')));
    const { mark } = reads;
    const unlucky = [reads.ask(), reads.ask()];
    for (const one of unlucky) await expect(one).rejects.toThrow('cut');
    fails = false;
    expect(await reads.ask(mark)).toBe('read');
    expect(await reads.ask()).toBe('read');
  });
});

const file = 'services/decisions/shared-read.ts';
const breakages: Readonly<Record<string, Breakage>> = {
  'those who come later share the read that is under way': {
    file,
    replace: '    this.#next = undefined;\n',
    by: '    queueMicrotask(() => void this.#newest?.finally(() => { this.#next = undefined; }).catch(() => {}));\n',
  },
  'what was read is given again': { file, replace: '    this.#next = undefined;\n', by: '' },
  'who came when a read had begun shares it': {
    file,
    replace: 'since < this.#begun',
    by: 'since <= this.#begun',
  },
  'the next read does not wait for the one under way': {
    file,
    replace: '(this.#newest ?? Promise.resolve()).then(begin, begin)',
    by: 'Promise.resolve().then(begin)',
  },
  'a mark is that of the next read': {
    file,
    replace: '    return this.#begun;',
    by: '    return this.#begun - 1;',
  },
};

test.for(Object.entries(breakages))('a build is found out in which %s', async ([, breakage]) => {
  await withBrokenBuild(
    breakage,
    async (load) => {
      const broken = await load<Build>(file);
      const plays = fc.asyncProperty(rushes, (rush) => play(broken, rush));
      await expect(fc.assert(plays, { numRuns: 60, endOnFailure: true })).rejects.toThrow();
    },
    'services/decisions',
  );
});
