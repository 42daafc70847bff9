import { sql as raw } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Sql } from './database.ts';

/** The id of whoever gave something, by their internal key: of somebody deleted since, what the record kept. */
export function granterName(grantedBy: PgColumn) {
  return raw<string | null>`coalesce(
    (select id from rolecall.users as granter where granter.pk = ${grantedBy}),
    (select value from rolecall.personal where user_pk = ${grantedBy} and field = 'id' limit 1))`;
}

/** What people read of a grant or exception that stands in the query as `held`, as the end of a list of JSON members. */
export function givenMembers(sql: Sql) {
  return sql`'scope', held.scope,
    'startsAt', extract(epoch from held.starts_at) * 1000, 'expiresAt', extract(epoch from held.expires_at) * 1000,
    'reason', held.reason, 'grantedAt', extract(epoch from held.granted_at) * 1000,
    'grantedBy', coalesce(
      (select id from rolecall.users as granter where granter.pk = held.granted_by),
      (select value from rolecall.personal where user_pk = held.granted_by and field = 'id' limit 1))`;
}
