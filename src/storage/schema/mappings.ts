import { sql } from 'drizzle-orm';
import { check, index, text, unique } from 'drizzle-orm/pg-core';
import { scopeForm } from './assignment-columns.ts';
import { exactText, instant, keyOf, pk, rolecall } from './columns.ts';
import { roles } from './roles.ts';

/** Which value of which claim gives which role where. Written once and deleted, never changed. */
export const mappings = rolecall.table(
  'mappings',
  {
    pk: pk(),
    id: exactText().notNull(),
    issuer: exactText().notNull(),
    /** The names that lead to the claim. */
    claim: text().array().notNull(),
    value: exactText().notNull(),
    rolePk: keyOf('role_pk')
      .notNull()
      .references(() => roles.pk, { onDelete: 'restrict' }),
    scope: exactText().notNull().default(''),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    unique('mappings_id_key').on(table.id),
    unique('mappings_rule_key').on(table.issuer, table.claim, table.value, table.rolePk, table.scope),
    index('mappings_role_pk_index').on(table.rolePk),
    check('mappings_issuer_form', sql`${table.issuer} ~ '^[!-~]{1,255}$'`),
    check(
      'mappings_claim_length',
      sql`cardinality(${table.claim}) between 1 and 5 and char_length(array_to_string(${table.claim}, '')) between 1 and 200`,
    ),
    check('mappings_value_length', sql`char_length(${table.value}) between 1 and 200`),
    check('mappings_scope_form', scopeForm(table.scope)),
  ],
);
