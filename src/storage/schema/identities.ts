import { sql } from 'drizzle-orm';
import { check, index, unique } from 'drizzle-orm/pg-core';
import { exactText, instant, keyOf, pk, rolecall } from './columns.ts';
import { users } from './users.ts';

/** Who a user is at an identity provider; the pair is unique, a subject alone means nothing. */
export const identities = rolecall.table(
  'identities',
  {
    pk: pk(),
    userPk: keyOf('user_pk')
      .notNull()
      .references(() => users.pk, { onDelete: 'restrict' }),
    issuer: exactText().notNull(),
    subject: exactText().notNull(),
    /** The `iat` of the newest token whose claims were applied. */
    claimsIssuedAt: instant('claims_issued_at'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    unique('identities_issuer_subject_key').on(table.issuer, table.subject),
    index('identities_user_pk_index').on(table.userPk),
    check('identities_issuer_length', sql`char_length(${table.issuer}) between 1 and 255`),
    check('identities_subject_length', sql`char_length(${table.subject}) between 1 and 255`),
  ],
);
