import fc from 'fast-check';
import { it } from 'vitest';
import { openStage } from '../support/history-stage.ts';
import { reviews, reviewWorld } from '../support/reviews.ts';
import { storedWorlds } from '../support/small-worlds.ts';

const long = process.env['TEST_LONG'] !== undefined;

it('whatever is stored, it is explained and listed as the model decides it', {
  timeout: long ? 3_600_000 : 300_000,
}, async () => {
  const stage = await openStage({});
  const asked = fc.array(reviews, { minLength: 4, maxLength: 8 });
  try {
    await fc.assert(
      fc.asyncProperty(storedWorlds, asked, (world, questions) => reviewWorld(stage, world, questions)),
      { numRuns: long ? 2_000 : 40 },
    );
  } finally {
    await stage.close();
  }
});
