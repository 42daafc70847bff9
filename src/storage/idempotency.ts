import { RolecallError } from '../domain/errors.ts';
import { settingDefinitions } from '../domain/settings.ts';
import type { Sql } from './database.ts';

/** How long an answer is kept for its key. */
const keptFor = `${settingDefinitions.idempotency_hours.default} hours`;

/** A caller's `Idempotency-Key`, for one credential, with a digest of the request it came with. */
export interface IdempotencyKey {
  readonly credential: string;
  readonly key: string;
  readonly fingerprint: Buffer;
}

/** The answer given to this key before, or undefined. Throws `idempotency_key_reused` if the request differs. */
export async function findAnswer(sql: Sql, key: IdempotencyKey): Promise<unknown> {
  const [row] = await sql<{ fingerprint: Buffer; answer: unknown }[]>`
    select fingerprint, answer from rolecall.idempotency
    where credential = ${key.credential} and key = ${key.key}
      and created_at > now() - ${keptFor}::interval`;
  if (row && !row.fingerprint.equals(key.fingerprint))
    throw new RolecallError(
      'idempotency_key_reused',
      'this Idempotency-Key came with another request before',
    );
  return row?.answer;
}

/** Keeps an answer, in the transaction of the write it answers, and drops those that are too old. */
export async function keepAnswer(sql: Sql, key: IdempotencyKey, answer: unknown): Promise<void> {
  await Promise.all([
    sql`delete from rolecall.idempotency where created_at <= now() - ${keptFor}::interval`,
    sql`
      insert into rolecall.idempotency (credential, key, fingerprint, answer)
      values (${key.credential}, ${key.key}, ${key.fingerprint}, ${JSON.stringify(answer)}::text::jsonb)`,
  ]);
}
