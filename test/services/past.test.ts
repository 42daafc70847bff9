import fc from 'fast-check';
import { expect, it } from 'vitest';
import { histories } from '../support/history-draws.ts';
import { playPast } from '../support/history-past.ts';
import { long, summarize } from '../support/long-run.ts';

const count = long ? 10_000 : 24;
/** Side by side, since a history mostly waits for the database. */
const lanes = long ? [1, 2, 3, 4] : [1];
const firstSeed = long ? Date.now() % 2 ** 30 : 2_027;

it.concurrent.each(lanes)(
  'what is answered about the past is what stood then, in random histories (%i)',
  { timeout: long ? 10_800_000 : 120_000 },
  async (lane) => {
    const seed = firstSeed + lane;
    const numRuns = Math.ceil(count / lanes.length);
    const compared = await playPast(fc.sample(histories, { numRuns, seed })).catch((error: Error) => {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
    });
    summarize('as it was then', { histories: numRuns, seed, answers: compared });
    expect(compared).toBeGreaterThan(numRuns * 300);
  },
);
