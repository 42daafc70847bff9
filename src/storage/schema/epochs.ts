import { sql } from 'drizzle-orm';
import { bigint, check } from 'drizzle-orm/pg-core';
import { exactText, instant, rolecall } from './columns.ts';

/** Every unbroken history this database has been part of, and the revision at which each began. */
export const epochs = rolecall.table(
  'epochs',
  {
    id: exactText().primaryKey(),
    beganAtRevision: bigint('began_at_revision', { mode: 'number' }).notNull(),
    /** Which server, timeline, database and table this history was written to; see `storage/epochs.ts`. */
    incarnation: exactText().notNull(),
    beganAt: instant('began_at').notNull().default(sql`now()`),
  },
  (table) => [check('epochs_id_form', sql`${table.id} ~ '^[0-9a-f]{12}$'`)],
);
