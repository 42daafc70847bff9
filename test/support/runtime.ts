import { pino } from 'pino';
import { loadConfig } from '../../src/config/config.ts';
import { openRuntime, type Runtime } from '../../src/runtime.ts';

/** Any key will do: every database of the tests is sealed with this one. */
export const testJournalKey = 'a-key-for-tests-only-0123456789abcdef';

/** Where a test states no pool of its own: with one connection, whoever takes a second while holding it waits for ever (F-06). */
const { TEST_POOL_SIZE } = process.env;
export const testPool = TEST_POOL_SIZE === undefined ? {} : { ROLECALL_POOL_SIZE: TEST_POOL_SIZE };

/**
 * The real services on a database. `variables` are further ones of the environment, such as ROLECALL_POOL_SIZE; `open` is
 * that of another build.
 */
export function openTestRuntime(
  url: string,
  variables: Readonly<Record<string, string>> = {},
  open = openRuntime,
): Promise<Runtime> {
  const environment = {
    DATABASE_URL: url,
    ROLECALL_JOURNAL_KEY: testJournalKey,
    ROLECALL_REQUEST_TIMEOUT_MS: '20000',
    // Tests try more wrong keys in a second than anybody should.
    ROLECALL_WRONG_KEY_LIMIT: '1000000',
    ...testPool,
    ...variables,
  };
  return open(loadConfig(['database', 'journalKey'], environment), pino({ level: 'silent' }));
}
