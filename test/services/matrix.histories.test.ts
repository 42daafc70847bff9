import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { checkMatrixHistory, createMigratedDatabase } from '../support/matrix-fresh.ts';
import { emptyTally, matrixHistories } from '../support/matrix-history.ts';

const histories = long ? 1_000 : 20;

let migrated: TestDatabase;
beforeAll(async () => {
  migrated = await createMigratedDatabase();
});
afterAll(() => migrated.drop());

test(`over ${histories} histories of files and people, a plan is what applying does, applying again writes nothing, and the end equals a fresh environment (2.2, 2.8, 2.9, 0.6)`, {
  timeout: 7_200_000,
}, async () => {
  const tally = emptyTally();
  let contested = 0;
  await fc.assert(
    fc.asyncProperty(matrixHistories, async (history) => {
      if ((await checkMatrixHistory(migrated, history, tally)) > 0) contested += 1;
    }),
    { numRuns: histories },
  );
  summarize('matrix histories against PostgreSQL', { histories, ...tally, contested });
  expect(Math.min(tally.conflicts, tally.gains, tally.losses)).toBeGreaterThan(0);
  expect(contested).toBeLessThan(histories / 2);
});
