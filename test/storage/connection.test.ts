import postgres from 'postgres';
import { expect, test } from 'vitest';
import { untilItAnswers } from '../../src/storage/connection.ts';
import { createTestDatabase } from '../support/database.ts';

test('of several hosts of which none is there, nothing is waited for longer than it may be', async () => {
  const sql = postgres('postgres://nobody@127.0.0.1:1,127.0.0.1:2/none', { max: 1 });
  try {
    await expect(untilItAnswers(sql, 300)).rejects.toMatchObject({ code: 'unavailable' });
  } finally {
    await sql.end({ timeout: 0 });
  }
});

test('a host that is not there is passed over for one that answers', async () => {
  const database = await createTestDatabase();
  const sql = postgres(database.url.replace('@', '@127.0.0.1:1,'), { max: 1 });
  try {
    await untilItAnswers(sql);
  } finally {
    await sql.end({ timeout: 5 });
    await database.drop();
  }
});
