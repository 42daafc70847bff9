import { sql } from 'drizzle-orm';
import { check, index, text, unique } from 'drizzle-orm/pg-core';
import { scopeForm } from './assignment-columns.ts';
import { bytes, exactText, instant, keyOf, pk, rolecall } from './columns.ts';
import { users } from './users.ts';

/** Credentials that act as a user. Only the SHA-256 of the secret is here. */
export const apiKeys = rolecall.table(
  'api_keys',
  {
    pk: pk(),
    id: exactText().notNull(),
    userPk: keyOf('user_pk')
      .notNull()
      .references(() => users.pk, { onDelete: 'restrict' }),
    name: text().notNull(),
    secretHash: bytes('secret_hash').notNull(),
    /** Slugs the key is narrowed to, or null for all that its user has. Slugs are never used twice, so no reference. */
    permissions: text().array(),
    /** Where the key works: there and below. */
    scope: exactText().notNull().default(''),
    expiresAt: instant('expires_at'),
    revokedAt: instant('revoked_at'),
    createdBy: keyOf('created_by'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /** About when it was last accepted: written now and then, outside of the journal. */
    lastUsedAt: instant('last_used_at'),
  },
  (table) => [
    unique('api_keys_id_key').on(table.id),
    index('api_keys_user_pk_index').on(table.userPk),
    check('api_keys_id_form', sql`${table.id} ~ '^[0-9A-Za-z]{12}$'`),
    check('api_keys_secret_hash_length', sql`octet_length(${table.secretHash}) = 32`),
    check('api_keys_scope_form', scopeForm(table.scope)),
    check('api_keys_created_before_expiry', sql`${table.createdAt} < ${table.expiresAt}`),
  ],
);
