import { sql as raw } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';

/** The id of whoever gave something, by their internal key: of somebody deleted since, what the record kept. */
export function granterName(grantedBy: PgColumn) {
  return raw<string | null>`coalesce(
    (select id from rolecall.users as granter where granter.pk = ${grantedBy}),
    (select value from rolecall.personal where user_pk = ${grantedBy} and field = 'id' limit 1))`;
}
