import { type SQL, sql } from 'drizzle-orm';
import { check, text, unique } from 'drizzle-orm/pg-core';
import { exactText, instant, pk, rolecall } from './columns.ts';

/** Retired permissions stay as rows: their slug remains reserved for the same resource and action. */
export const permissions = rolecall.table(
  'permissions',
  {
    pk: pk(),
    resource: exactText().notNull(),
    action: exactText().notNull(),
    slug: exactText()
      .notNull()
      .generatedAlwaysAs((): SQL => sql`${permissions.resource} || '_' || ${permissions.action}`),
    description: text().notNull().default(''),
    /** The first matrix layer that declares the permission; null when it was registered through the API. */
    declaredIn: exactText('declared_in'),
    retiredAt: instant('retired_at'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [
    unique('permissions_slug_key').on(table.slug),
    check(
      'permissions_resource_form',
      sql`${table.resource} ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(${table.resource}) <= 100`,
    ),
    check(
      'permissions_action_form',
      sql`${table.action} ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(${table.action}) <= 100`,
    ),
  ],
);
