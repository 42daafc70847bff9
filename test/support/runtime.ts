import { pino } from 'pino';
import { loadConfig } from '../../src/config/config.ts';
import { openRuntime, type Runtime } from '../../src/runtime.ts';

/** Any key will do: every database of the tests is sealed with this one. */
export const testJournalKey = 'a-key-for-tests-only-0123456789abcdef';

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
    ...variables,
  };
  return open(loadConfig(['database', 'journalKey'], environment), pino({ level: 'silent' }));
}
