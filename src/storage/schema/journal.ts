import { sql } from 'drizzle-orm';
import { bigint, check, index, integer, jsonb, primaryKey, timestamp } from 'drizzle-orm/pg-core';
import { bytes, exactText, keyOf, rolecall } from './columns.ts';

/**
 * The record of every change. Rows name people by internal keys only and reference nothing, so that what happened
 * outlives what it happened to; personal values stand in `personal` and enter the HMAC as salted digests.
 */
export const journal = rolecall.table(
  'journal',
  {
    revision: bigint({ mode: 'number' }).notNull(),
    number: integer().notNull(),
    time: timestamp({ withTimezone: true, precision: 6, mode: 'string' }).notNull(),
    kind: exactText().notNull(),
    actorKind: exactText('actor_kind').$type<'user' | 'operator' | 'service'>().notNull(),
    actorPk: keyOf('actor_pk'),
    credentialPk: keyOf('credential_pk'),
    /** Whose credential it was, where its owner acted for the actor. */
    throughPk: keyOf('through_pk'),
    requestId: exactText('request_id'),
    userPk: keyOf('user_pk'),
    rolePk: keyOf('role_pk'),
    permissionPk: keyOf('permission_pk'),
    before: jsonb(),
    after: jsonb(),
    digests: jsonb().$type<Record<string, string>>().notNull(),
    hmac: bytes().notNull(),
  },
  (table) => [
    primaryKey({ name: 'journal_pkey', columns: [table.revision, table.number] }),
    index('journal_user_pk_index').on(table.userPk, table.revision),
    index('journal_role_pk_index').on(table.rolePk, table.revision),
    index('journal_permission_pk_index').on(table.permissionPk, table.revision),
    index('journal_actor_pk_index').on(table.actorPk, table.revision),
    // To whom a role was ever given, or a permission by exception, place by place.
    index('journal_gifts_index')
      .on(table.kind, sql`(coalesce(role_pk, permission_pk))`, sql`(after ->> 'scope')`, table.userPk)
      .where(sql`${table.kind} in ('grant_set', 'exception_set')`),
    check('journal_actor_known', sql`(${table.actorKind} = 'user') = (${table.actorPk} is not null)`),
    check('journal_actor_kind_known', sql`${table.actorKind} in ('user', 'operator', 'service')`),
    check('journal_hmac_length', sql`octet_length(${table.hmac}) = 32`),
  ],
);
