import { sql } from 'drizzle-orm';
import { boolean, check, unique } from 'drizzle-orm/pg-core';
import { exactText, instant, pk, rolecall } from './columns.ts';

export const users = rolecall.table(
  'users',
  {
    pk: pk(),
    id: exactText().notNull(),
    email: exactText(),
    active: boolean().notNull().default(true),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [
    unique('users_id_key').on(table.id),
    unique('users_email_key').on(table.email),
    check('users_id_length', sql`char_length(${table.id}) between 1 and 255`),
    check('users_id_not_dots', sql`${table.id} not in ('.', '..')`),
    check(
      'users_email_normalized',
      sql`${table.email} ~ '^[!-?\\[-~]+@[!-?\\[-~]+$' and char_length(${table.email}) <= 254`,
    ),
  ],
);
