import type { UserId } from '../domain/ids.ts';
import type { ChangeHandle, Sql } from './database.ts';

/** The internal keys of everybody who has one of the ids or had it, as far as the record still knows, with the id. */
export async function keysEverNamed(sql: Sql, ids: readonly UserId[]): Promise<ReadonlyMap<number, UserId>> {
  const rows = await sql<{ pk: number; id: UserId }[]>`
    select pk::float8 as pk, id from rolecall.users where id = any(${[...ids]}::text[])
    union select user_pk::float8, value from rolecall.personal
    where field = 'id' and value = any(${[...ids]}::text[]) order by pk`;
  return new Map(rows.map(({ pk, id }) => [pk, id]));
}

/**
 * Deletes what is personal of these users: their values beside the journal, answers kept for an `Idempotency-Key` that
 * name the id anywhere, and what was refused about it. Returns how many values of the record went.
 */
export async function erasePersonal(
  { sql }: ChangeHandle,
  userPks: readonly number[],
  id: UserId,
): Promise<number> {
  const gone = await sql`
    delete from rolecall.personal where user_pk = any(${userPks.map(String)}::text[]::bigint[])`;
  await sql`
    delete from rolecall.idempotency
    where jsonb_path_exists(answer, '$.** ? (@ == $id)', jsonb_build_object('id', ${id}::text))`;
  // Attempts that are being written wait, and then find that the id is nobody's.
  await sql`lock table rolecall.denials in share row exclusive mode`;
  await sql`delete from rolecall.denials where subject = ${id}`;
  return gone.count;
}
