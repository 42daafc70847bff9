import { sql } from 'drizzle-orm';
import { boolean, check, text, unique } from 'drizzle-orm/pg-core';
import { exactText, instant, pk, rolecall } from './columns.ts';

export const roles = rolecall.table(
  'roles',
  {
    pk: pk(),
    key: exactText().notNull(),
    name: text().notNull(),
    description: text().notNull().default(''),
    isSystem: boolean('is_system').notNull().default(false),
    /** The first matrix layer that declares the role; null when it was made through the API. */
    declaredIn: exactText('declared_in'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [
    unique('roles_key_key').on(table.key),
    check(
      'roles_key_form',
      sql`${table.key} ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$' and length(${table.key}) <= 100`,
    ),
    check('roles_system_is_declared', sql`not ${table.isSystem} or ${table.declaredIn} is not null`),
  ],
);
