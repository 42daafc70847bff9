import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examine } from '../../src/services/doctor.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import { testJournalKey } from '../support/runtime.ts';

describe.skipIf(!hasPgbouncer)("doctor behind a pooler (needs Debian's pgbouncer)", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test.each([
    ['transaction', 1],
    ['session', 0],
  ] as const)('in %s mode says so %i times, and finds nothing to mend', async (mode, times) => {
    const pooler = await startPgbouncer(database.url, { mode });
    try {
      const findings = await examine(pooler.url, testJournalKey, await readSteps());
      expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
      expect(findings.filter(({ cause }) => /pooler in transaction mode/.test(cause))).toHaveLength(times);
    } finally {
      await pooler.stop();
    }
  });
});
