import { type SQL, sql } from 'drizzle-orm';
import { text } from 'drizzle-orm/pg-core';
import { exactText, instant, keyOf } from './columns.ts';

/** What grants and exceptions have in common: where, when, why and by whom. */
export const assignmentColumns = () => ({
  scope: exactText().notNull().default(''),
  startsAt: instant('starts_at'),
  expiresAt: instant('expires_at'),
  reason: text(),
  /** Null when the operator did it. No foreign key: who gave something may be deleted, what was given stands. */
  grantedBy: keyOf('granted_by'),
  grantedAt: instant('granted_at').notNull().default(sql`now()`),
});

export const scopeForm = (scope: unknown): SQL =>
  sql`length(${scope}) <= 255 and ${scope} ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$'`;
