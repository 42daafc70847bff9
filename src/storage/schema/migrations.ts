import { sql } from 'drizzle-orm';
import { check, integer, unique } from 'drizzle-orm/pg-core';
import { exactText, instant, rolecall } from './columns.ts';

/** The ledger: each row was written in the transaction that ran the step it names. */
export const migrations = rolecall.table(
  'migrations',
  {
    position: integer().primaryKey(),
    name: exactText().notNull(),
    hash: exactText().notNull(),
    downHash: exactText('down_hash').notNull(),
    appliedAt: instant('applied_at').notNull().default(sql`clock_timestamp()`),
    appliedBy: exactText('applied_by').notNull().default(sql`current_user`),
  },
  (table) => [
    unique('migrations_name_key').on(table.name),
    check('migrations_hash_form', sql`${table.hash} ~ '^[0-9a-f]{64}$'`),
    check('migrations_down_hash_form', sql`${table.downHash} ~ '^[0-9a-f]{64}$'`),
  ],
);
