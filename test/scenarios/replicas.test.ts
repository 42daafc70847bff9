import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness, type Reason } from '../support/broken-freshness.ts';
import { playHistory } from '../support/history.ts';
import type { Step } from '../support/history-commands.ts';
import { histories } from '../support/history-draws.ts';
import { long, summarize } from '../support/long-run.ts';
import { buildOf } from '../support/replicas.ts';

/** One database sees so many histories, one after the other: a new one for each would take most of a full run. */
const inARow = long ? 16 : 1;
const sittings = long ? 470 : 10;
const parts = long ? 47 : 1;
const replicas = 3;

const evenings = fc
  .array(histories, { minLength: inARow, maxLength: inARow })
  .map((several): readonly Step[] => several.flat());

// Each command and each question goes to the next replica: what is written at one is asked at the others.
describe.concurrent('of three replicas, whichever is asked answers as the model does', () => {
  it.for([
    ['of the newest revision', false],
    ['of the revision that the question names', true],
  ] as const)('%s (C-14)', { timeout: 7_200_000 }, async ([, byRevision]) => {
    let steps = 0;
    const plays = fc.asyncProperty(evenings, async (evening) => {
      steps += evening.length;
      await playHistory(evening, { replicas, byRevision });
    });
    // In parts, so that a run that is ended before its time says how far it came.
    for (let part = 1; part <= parts; part += 1) {
      await fc.assert(plays, { numRuns: sittings / parts });
      summarize(`C-14, three replicas, ${byRevision ? '`atLeast`' : '`latest`'}`, {
        databases: (sittings / parts) * part,
        histories: (sittings / parts) * part * inARow,
        steps,
        disagreements: 0,
      });
    }
  });
});

/** Always the same histories, so that a breakage is found or not, and not now and then. */
const tried = fc.sample(histories, { seed: 7, numRuns: 15 });

describe.concurrent('three replicas are found out of a build in which', () => {
  const cases: readonly (readonly [Reason, boolean])[] = [
    ['only notifications bring what is new', false],
    ['a revision read before the request came is good enough', false],
    ['what the journal names is kept', false],
    ['what the journal names is kept', true],
    ['who was not there is not there for good', false],
    ['the revision that was asked for is not waited for', true],
    ['the catalogue is kept when roles change', false],
  ];
  it.for(cases)('%s (named revision: %s)', { timeout: 300_000 }, async ([reason, byRevision]) => {
    const found = await withBrokenBuild(brokenFreshness[reason], async (load) => {
      const build = await buildOf(load);
      for (const history of tried)
        try {
          await playHistory(history, { build, replicas, byRevision });
        } catch (error) {
          return { history, error };
        }
      return undefined;
    });
    expect(found).toBeDefined();
    const history: readonly Step[] = found?.history ?? [];
    await playHistory(history, { replicas, byRevision });
  });
});
