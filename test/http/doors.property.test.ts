import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  doorNames,
  nothingSeen,
  openStreet,
  peopled,
  type Seen,
  type Street,
  walk,
  walks,
} from '../support/door-walk.ts';
import { long, summarize } from '../support/long-run.ts';

const triesPerWorld = long ? 300 : 60;
const worldCount = long ? 350 : 6;
/** The catalogue grows with every world, and is read anew for each. */
const worldsPerService = 10;

const countsOf = ({ given, refused, nothingToChange }: Seen) => ({ given, refused, nothingToChange });

test(
  'through every door, as much goes as its actor holds, and a dry run tells what the call does (A-09, A-14)',
  async () => {
    const seen = nothingSeen();
    let number = 0;
    let street: Street | undefined;
    await fc.assert(
      fc.asyncProperty(walks(triesPerWorld), async (one) => {
        if (number % worldsPerService === 0) {
          await street?.close();
          street = await openStreet();
        }
        await walk(street as Street, peopled(one, number++), one, seen);
        if (number % 50 === 0) summarize(`A-09, ${number} random worlds so far`, countsOf(seen));
      }),
      { numRuns: worldCount, endOnFailure: true },
    );
    await street?.close();
    const counts = countsOf(seen);
    const all = counts.given + counts.refused + counts.nothingToChange;
    expect(Math.min(seen.given, seen.refused)).toBeGreaterThan(all / 10);
    const earnest = doorNames.map((name) => seen.inEarnest.get(name) ?? 0);
    if (long) expect(Math.min(...earnest)).toBeGreaterThan(0);
    summarize(`${all} tries of ${doorNames.length} doors on ${number} random worlds, escalations 0`, {
      ...counts,
      inEarnest: earnest.reduce((sum, times) => sum + times, 0),
      inEarnestThroughEachDoorAtLeast: Math.min(...earnest),
    });
  },
  worldCount * 30_000,
);
