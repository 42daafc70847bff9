import { sql } from 'drizzle-orm';
import { check, jsonb } from 'drizzle-orm/pg-core';
import { exactText, instant, rolecall } from './columns.ts';

/** The settings that were changed; what has no row is at its default. What there is to set is in `domain/settings.ts`. */
export const settings = rolecall.table(
  'settings',
  {
    key: exactText().primaryKey(),
    value: jsonb().notNull(),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [
    check(
      'settings_key_form',
      sql`${table.key} ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(${table.key}) <= 100`,
    ),
    check('settings_value_is_set', sql`${table.value} <> 'null'`),
  ],
);
