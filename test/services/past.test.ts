import fc from 'fast-check';
import { expect, test } from 'vitest';
import { histories } from '../support/history-draws.ts';
import { playPast } from '../support/history-past.ts';
import { long, summarize } from '../support/long-run.ts';

const count = long ? 10_000 : 25;

test(
  'what is answered about the past is what stood then, in random histories',
  async () => {
    const seed = long ? Date.now() % 2 ** 31 : 2_027;
    const drawn = fc.sample(histories, { numRuns: count, seed });
    const compared = await playPast(drawn).catch((error: Error) => {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
    });
    summarize('as it was then', { histories: count, seed, answers: compared });
    expect(compared).toBeGreaterThan(count * 300);
  },
  long ? 10_800_000 : 120_000,
);
