import { sql } from 'drizzle-orm';
import { check, index, unique } from 'drizzle-orm/pg-core';
import { assignmentColumns, scopeForm } from './assignment-columns.ts';
import { exactText, keyOf, pk, rolecall } from './columns.ts';
import { roles } from './roles.ts';
import { users } from './users.ts';

/** Grants. Routes edit those of origin `api` only. */
export const userRoles = rolecall.table(
  'user_roles',
  {
    pk: pk(),
    userPk: keyOf('user_pk')
      .notNull()
      .references(() => users.pk, { onDelete: 'restrict' }),
    rolePk: keyOf('role_pk')
      .notNull()
      .references(() => roles.pk, { onDelete: 'restrict' }),
    origin: exactText().notNull().default('api'),
    ...assignmentColumns(),
  },
  (table) => [
    unique('user_roles_user_role_scope_origin_key').on(table.userPk, table.rolePk, table.scope, table.origin),
    /** Who has a role at a scope, in an order to page by. */
    index('user_roles_holders_index').on(table.rolePk, table.scope, table.userPk),
    check('user_roles_scope_form', scopeForm(table.scope)),
    check('user_roles_starts_before_expiry', sql`${table.startsAt} < ${table.expiresAt}`),
  ],
);
