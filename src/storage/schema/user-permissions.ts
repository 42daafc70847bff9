import { sql } from 'drizzle-orm';
import { check, index, unique } from 'drizzle-orm/pg-core';
import { assignmentColumns, scopeForm } from './assignment-columns.ts';
import { exactText, keyOf, pk, rolecall } from './columns.ts';
import { permissions } from './permissions.ts';
import { users } from './users.ts';

/** Exceptions: one permission given to or withheld from one user directly. */
export const userPermissions = rolecall.table(
  'user_permissions',
  {
    pk: pk(),
    userPk: keyOf('user_pk')
      .notNull()
      .references(() => users.pk, { onDelete: 'restrict' }),
    permissionPk: keyOf('permission_pk')
      .notNull()
      .references(() => permissions.pk, { onDelete: 'restrict' }),
    effect: exactText().$type<'allow' | 'deny'>().notNull(),
    ...assignmentColumns(),
  },
  (table) => [
    unique('user_permissions_user_permission_scope_key').on(table.userPk, table.permissionPk, table.scope),
    /** Who has an exception at a scope, in an order to page by. */
    index('user_permissions_holders_index').on(table.permissionPk, table.scope, table.userPk),
    check('user_permissions_effect_known', sql`${table.effect} in ('allow', 'deny')`),
    check('user_permissions_scope_form', scopeForm(table.scope)),
    check('user_permissions_starts_before_expiry', sql`${table.startsAt} < ${table.expiresAt}`),
  ],
);
