import { sql } from 'drizzle-orm';
import { boolean, check, index, primaryKey } from 'drizzle-orm/pg-core';
import { exactText, instant, keyOf, rolecall } from './columns.ts';
import { permissions } from './permissions.ts';
import { roles } from './roles.ts';

/** One row per edge and origin: `api` or the id of a matrix layer. A row that withholds is a tombstone. */
export const rolePermissions = rolecall.table(
  'role_permissions',
  {
    rolePk: keyOf('role_pk')
      .notNull()
      .references(() => roles.pk, { onDelete: 'restrict' }),
    permissionPk: keyOf('permission_pk')
      .notNull()
      .references(() => permissions.pk, { onDelete: 'restrict' }),
    origin: exactText().notNull(),
    withheld: boolean().notNull().default(false),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ name: 'role_permissions_pkey', columns: [table.rolePk, table.permissionPk, table.origin] }),
    index('role_permissions_permission_pk_index').on(table.permissionPk),
    check('role_permissions_origin_form', sql`${table.origin} ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$'`),
  ],
);
