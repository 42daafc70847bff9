import postgres from 'postgres';
import { toRolecallError } from './errors.ts';

/**
 * One connection for somebody who looks after the database, closed when `work` has ended. Rejects with `unavailable`
 * when the database cannot be reached; other errors of statements come out as they are, for `work` knows more of them.
 */
export async function asOperator<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => {},
    // Nothing is found by chance: all that is asked about is named with its schema.
    connection: { application_name: 'rolecall operator', TimeZone: 'UTC', search_path: 'pg_catalog' },
  });
  try {
    await sql`select 1`.catch((error: unknown) => Promise.reject(toRolecallError(error)));
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
