import { sql } from 'drizzle-orm';
import { bigint, foreignKey, index, integer, primaryKey, text } from 'drizzle-orm/pg-core';
import { bytes, exactText, keyOf, rolecall } from './columns.ts';
import { journal } from './journal.ts';

/** Personal values of journal rows, erasable one by one without breaking the chain. */
export const personal = rolecall.table(
  'personal',
  {
    revision: bigint({ mode: 'number' }).notNull(),
    number: integer().notNull(),
    field: exactText().notNull(),
    /** Whose value it is: erasing a person deletes the rows with their key. */
    userPk: keyOf('user_pk'),
    salt: bytes().notNull(),
    value: text().notNull(),
  },
  (table) => [
    primaryKey({ name: 'personal_pkey', columns: [table.revision, table.number, table.field] }),
    foreignKey({
      name: 'personal_journal_fkey',
      columns: [table.revision, table.number],
      foreignColumns: [journal.revision, journal.number],
    }).onDelete('restrict'),
    index('personal_user_pk_index').on(table.userPk),
    // Who ever had an id.
    index('personal_ids_index').on(table.value).where(sql`${table.field} = 'id'`),
  ],
);
