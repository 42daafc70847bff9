import { sql } from 'drizzle-orm';
import { bigint, boolean, check, timestamp } from 'drizzle-orm/pg-core';
import { bytes, exactText, rolecall } from './columns.ts';
import { epochs } from './epochs.ts';

/** One row. Whoever writes locks it first, so the order of revisions is the order of commits. */
export const revision = rolecall.table(
  'revision',
  {
    onlyRow: boolean('only_row').primaryKey().default(true),
    value: bigint({ mode: 'number' }).notNull(),
    catalogueValue: bigint('catalogue_value', { mode: 'number' }).notNull(),
    epoch: exactText()
      .notNull()
      .references(() => epochs.id, { onDelete: 'restrict' }),
    time: timestamp({ withTimezone: true, precision: 6, mode: 'string' }).notNull(),
    /** HMAC of the newest journal row: the end of the chain. */
    journalHead: bytes('journal_head').notNull(),
  },
  (table) => [
    check('revision_only_row', sql`${table.onlyRow}`),
    check('revision_catalogue_not_ahead', sql`${table.catalogueValue} between 0 and ${table.value}`),
  ],
);
