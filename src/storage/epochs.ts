import { randomBytes } from 'node:crypto';
import type { Sql } from './database.ts';

/**
 * What the present history is written to: the server's identity, its timeline, the database and the very table. It
 * changes when another server was promoted, when a dump was restored and when the database was copied. A SQL fragment,
 * for a connection to the primary only.
 */
export function incarnation(sql: Sql) {
  return sql`(select system_identifier from pg_control_system()) || '/'
    || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/'
    || (select oid from pg_database where datname = current_database()) || '/'
    || 'rolecall.revision'::regclass::oid`;
}

/**
 * Begins an epoch in the transaction that holds the revision lock: whatever the old one made after `after` is lost to
 * this database. Returns its id.
 */
export async function insertEpoch(sql: Sql, after: number): Promise<string> {
  const id = randomBytes(6).toString('hex');
  await sql`
    insert into rolecall.epochs (id, began_at_revision, incarnation)
    values (${id}, ${after}, ${incarnation(sql)})`;
  await sql`update rolecall.revision set epoch = ${id}`;
  return id;
}
