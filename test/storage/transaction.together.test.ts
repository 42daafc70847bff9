import { afterAll, beforeAll, expect, it } from 'vitest';
import { RolecallError } from '../../src/domain/errors.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { openTransactions } from '../../src/storage/transaction.ts';
import { insertUser } from '../../src/storage/users.ts';
import { openWriteSeries } from '../../src/storage/write-series.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { type Build, drawRounds, holdSharedWrites } from '../support/shared-writes.ts';

const series = 'storage/write-series.ts';

/** Each takes away one thing that those who share a transaction rely on. */
const breakages: Readonly<Record<string, Breakage>> = {
  'a failure is that of all': {
    file: series,
    replace: "if (members.length === 1 || code === 'outcome_unknown') return",
    by: 'if (code) return',
  },
  'whoever was refused is told that it was done': {
    file: series,
    replace: 'value instanceof RolecallError ? failing(value) :',
    by: 'value === undefined ? failing(value) :',
  },
  'it is answered before COMMIT is': {
    file: 'storage/lane-connection.ts',
    replace: 'leave();\n    await this.#before;',
    by: 'leave();',
  },
  'all are told the revision of the first': {
    file: 'storage/transaction.ts',
    replace: 'if (changed) value += 1;',
    by: 'if (changed && value === locked.value) value += 1;',
  },
  'each is sealed to the row that was locked': {
    file: 'storage/journal.ts',
    replace: 'head = sealEntry(key, head, content);',
    by: 'head = sealEntry(key, locked.journalHead, content);',
  },
};

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it('writes that share a transaction are each done, refused or undone as if they had been alone', {
  timeout: 3_600_000,
}, async () => {
  const rounds = long ? 2_000 : 40;
  const build: Build = { openDatabase, openTransactions, openWriteSeries, insertUser, RolecallError };
  const sharing = await holdSharedWrites(build, database.url, drawRounds(rounds, 1));
  const shared = [...sharing]
    .filter(([size]) => size > 1)
    .reduce((sum, [size, times]) => sum + size * times, 0);
  summarize('shared transaction', { rounds, shared, most: Math.max(...sharing.keys()) });
  expect(shared).toBeGreaterThan(rounds);
});

it.concurrent.for(Object.entries(breakages))(
  'a build is found out in which %s',
  { timeout: 300_000 },
  async ([, breakage], { expect }) => {
    const own = await createTestDatabase();
    try {
      const found = await withBrokenBuild(breakage, async (load) => {
        const build = {
          ...(await load<typeof import('../../src/storage/database.ts')>('storage/database.ts')),
          ...(await load<typeof import('../../src/storage/transaction.ts')>('storage/transaction.ts')),
          ...(await load<typeof import('../../src/storage/write-series.ts')>('storage/write-series.ts')),
          ...(await load<typeof import('../../src/storage/users.ts')>('storage/users.ts')),
          ...(await load<typeof import('../../src/domain/errors.ts')>('domain/errors.ts')),
        };
        return holdSharedWrites(build, own.url, drawRounds(60, 2)).then(
          () => undefined,
          ({ message }: Error) => message,
        );
      });
      expect(found).toBeDefined();
    } finally {
      await own.drop();
    }
  },
);
