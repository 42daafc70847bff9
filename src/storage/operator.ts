import postgres from 'postgres';
import { untilItAnswers } from './connection.ts';
import { toRolecallError } from './errors.ts';

/** Whether the transaction may write, and whether all of it sees the database as it was when it began. */
const modes = {
  'read only': 'read only',
  'read write': 'read write',
  'one snapshot': 'isolation level repeatable read read only',
} as const;

/**
 * One transaction for somebody who looks after the database, on a connection of its own, undone if `work` rejects.
 * Nothing is found by chance in it: all that is not PostgreSQL's own goes by its schema's name. Nothing is set for
 * longer, because behind a pooler the session is somebody else's next. Rejects with `unavailable` when the database
 * cannot be reached; other errors of statements come out as they are, for the caller knows more of them.
 */
export async function asOperator<T>(
  url: string,
  mode: keyof typeof modes,
  work: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => {},
    // A statement prepared on one connection of an old pooler is not there on the next.
    prepare: false,
    connection: { application_name: 'rolecall operator', TimeZone: 'UTC' },
  });
  try {
    await untilItAnswers(sql).catch((error: unknown) => Promise.reject(toRolecallError(error)));
    return (await sql.begin(modes[mode], async (transaction) => {
      await transaction`set local search_path = pg_catalog`;
      return work(transaction);
    })) as T;
  } finally {
    await sql.end({ timeout: 5 });
  }
}
