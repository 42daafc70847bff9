import { sql } from 'drizzle-orm';
import { check, index, jsonb, primaryKey } from 'drizzle-orm/pg-core';
import { bytes, exactText, instant, rolecall } from './columns.ts';

/** Answers already given to a credential's `Idempotency-Key`, stored in the transaction of the write they answer. */
export const idempotency = rolecall.table(
  'idempotency',
  {
    credential: exactText().notNull(),
    key: exactText().notNull(),
    fingerprint: bytes().notNull(),
    answer: jsonb().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ name: 'idempotency_pkey', columns: [table.credential, table.key] }),
    index('idempotency_created_at_index').on(table.createdAt),
    check('idempotency_key_length', sql`char_length(${table.key}) between 1 and 128`),
  ],
);
