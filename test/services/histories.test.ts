import fc from 'fast-check';
import { it } from 'vitest';
import { playHistory } from '../support/history.ts';
import { histories } from '../support/history-draws.ts';

const long = process.env['TEST_LONG'] !== undefined;
const numberOfHistories = long ? 2_000 : 300;
/** Side by side, since a history mostly waits for the database. */
const lanes = [1, 2, 3];

// What fails is printed as commands: `playHistory` plays them again, on a new database like the first time.
it.concurrent.each(lanes)(
  'whatever administrators do, every answer is the one the model gives (%i of 3)',
  { timeout: long ? 3_600_000 : 900_000 },
  async () => {
    const plays = fc.asyncProperty(histories, (history) => playHistory(history));
    await fc.assert(plays, { numRuns: Math.ceil(numberOfHistories / lanes.length) });
  },
);
