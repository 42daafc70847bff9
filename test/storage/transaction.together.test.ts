import { afterAll, beforeAll, expect, it } from 'vitest';
import { RolecallError } from '../../src/domain/errors.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { openTransactions } from '../../src/storage/transaction.ts';
import { insertUser } from '../../src/storage/users.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { type Build, drawRounds, holdSharedWrites } from '../support/shared-writes.ts';

const lane = 'storage/lane-connection.ts';
const transaction = 'storage/transaction.ts';

/** Each takes away one thing that those who share a COMMIT rely on. */
const breakages: Readonly<Record<string, Breakage>> = {
  'what failed is not undone': {
    file: lane,
    replace: "if (isUndone && !isFirst) sendAlong(sql.unsafe('ROLLBACK TO SAVEPOINT joined'));",
    by: '',
  },
  'a failure undoes what those before it did': {
    file: lane,
    replace: "if (isUndone && !isFirst) sendAlong(sql.unsafe('ROLLBACK TO SAVEPOINT joined'));",
    by: "if (isUndone) end = 'ROLLBACK';",
  },
  'it is answered before COMMIT is': { file: lane, replace: 'await shared.settled;', by: '' },
  'whoever does not share joins all the same': {
    file: lane,
    replace: 'if (open && !shares) this.#end',
    by: 'if (open && !open) this.#end',
  },
  'the next one seals to the row that the first one found': {
    file: transaction,
    replace: 'lockedIn.set(shared, appended?.locked ?? locked);',
    by: 'lockedIn.set(shared, locked);',
  },
};

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it('writes that share a COMMIT are each done, refused or undone as if they had been alone', {
  timeout: 3_600_000,
}, async () => {
  const rounds = long ? 2_000 : 40;
  const build: Build = { openDatabase, openTransactions, insertUser, RolecallError };
  const sharing = await holdSharedWrites(build, database.url, drawRounds(rounds, 1));
  const shared = [...sharing]
    .filter(([size]) => size > 1)
    .reduce((sum, [size, times]) => sum + size * times, 0);
  summarize('shared COMMIT', { rounds, shared, most: Math.max(...sharing.keys()) });
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
