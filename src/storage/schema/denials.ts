import { integer } from 'drizzle-orm/pg-core';
import { exactText, instant, keyOf, pk, rolecall } from './columns.ts';

/**
 * Attempts at administration that were refused, the newest so many. No part of the journal: nothing changed. `subject`
 * is the user whom it was about, by the id that the caller said, if anybody had it, and is erased with them.
 */
export const denials = rolecall.table('denials', {
  pk: pk(),
  time: instant('time').notNull(),
  actorPk: keyOf('actor_pk'),
  credentialPk: keyOf('credential_pk'),
  /** Whose credential it was, where its owner acted for the actor. */
  throughPk: keyOf('through_pk'),
  requestId: exactText('request_id').notNull(),
  method: exactText().notNull(),
  route: exactText().notNull(),
  code: exactText().notNull(),
  subject: exactText(),
  target: exactText(),
  scope: exactText(),
  /** How often the same was refused within a moment. */
  times: integer().notNull(),
});
