import { sql } from 'drizzle-orm';
import { boolean, check, index, primaryKey } from 'drizzle-orm/pg-core';
import { exactText, instant, keyOf, rolecall } from './columns.ts';
import { roles } from './roles.ts';

/** One row per include and origin: `api` or the id of a matrix layer. A row that withholds is a tombstone. */
export const roleIncludes = rolecall.table(
  'role_includes',
  {
    rolePk: keyOf('role_pk')
      .notNull()
      .references(() => roles.pk, { onDelete: 'restrict' }),
    includedPk: keyOf('included_pk')
      .notNull()
      .references(() => roles.pk, { onDelete: 'restrict' }),
    origin: exactText().notNull(),
    withheld: boolean().notNull().default(false),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ name: 'role_includes_pkey', columns: [table.rolePk, table.includedPk, table.origin] }),
    index('role_includes_included_pk_index').on(table.includedPk),
    check('role_includes_not_itself', sql`${table.rolePk} <> ${table.includedPk}`),
    check('role_includes_origin_form', sql`${table.origin} ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$'`),
  ],
);
