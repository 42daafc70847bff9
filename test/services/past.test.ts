import fc from 'fast-check';
import { expect, it } from 'vitest';
import { histories } from '../support/history-draws.ts';
import { playPast } from '../support/history-past.ts';
import { long, summarize } from '../support/long-run.ts';

const count = long ? 10_000 : 24;
/** Side by side, since a history mostly waits for the database. */
const lanes = long ? [1, 2, 3] : [1];
/** How many follow each other on one database: an answer about the past is as much work as the past is long. */
const together = 50;
const firstSeed = long ? Date.now() % 2 ** 30 : 2_027;

it.concurrent.each(lanes)(
  'what is answered about the past is what stood then, in random histories (%i)',
  { timeout: long ? 10_800_000 : 120_000 },
  async (lane) => {
    const mine = Math.ceil(count / lanes.length);
    let compared = 0;
    let played = 0;
    for (let part = 0; played < mine; part += 1) {
      const seed = firstSeed + 10_000 * lane + part;
      const drawn = fc.sample(histories, { numRuns: Math.min(together, mine - played), seed });
      compared += await playPast(drawn).catch((error: Error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
      });
      played += drawn.length;
      if (part % 10 === 9)
        summarize('as it was then, so far', { lane, histories: played, answers: compared });
    }
    summarize('as it was then', { lane, histories: played, 'first seed': firstSeed, answers: compared });
    expect(compared).toBeGreaterThan(mine * 75);
  },
);
