import type { Sql } from './database.ts';

/** How long a client may take between two messages of one statement before it counts as gone. */
const longestSilenceMs = 2_000;

/**
 * Ends sessions of our own database user that hold the revision lock while their client, frozen or cut off between
 * preparing a statement and running it, says nothing: to the server they are neither idle nor in a statement, so that
 * before version 17, which limits transactions, none of its own limits ends them. Of this database alone: in copies of it the
 * table has the same oid.
 */
export async function endSilentHolders(sql: Sql): Promise<void> {
  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
    where relation = 'rolecall.revision'::regclass and mode = 'RowShareLock' and granted
      and datname = current_database() and usename = current_user and pid <> pg_backend_pid()
      and state = 'active' and wait_event = 'ClientRead'
      and state_change < clock_timestamp() - ${longestSilenceMs}::int * interval '1 ms'`;
}
