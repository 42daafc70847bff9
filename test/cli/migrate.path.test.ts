import { createHash } from 'node:crypto';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { liveRows } from '../support/steps.ts';

const people = 10_000;

let original: TestDatabase;
let copy: TestDatabase;
beforeAll(async () => {
  original = await createTestDatabase();
  const sql = postgres(original.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    insert into rolecall.users (id, email) select 'user ' || n, n || '@example.com' from generate_series(1, ${people}) as n;
    insert into rolecall.identities (user_pk, issuer, subject) select pk, 'https://id', id from rolecall.users where pk % 3 = 0;
    insert into rolecall.user_roles (user_pk, role_pk, scope) select u.pk, r.pk, 'shop/' || u.pk
      from rolecall.users as u join rolecall.roles as r on (u.pk + r.pk) % 3 = 0;
    insert into rolecall.user_permissions (user_pk, permission_pk, effect) select u.pk, p.pk, 'allow'
      from rolecall.users as u join rolecall.permissions as p on (u.pk + p.pk) % 50 = 0`);
  await sql.end();
  const name = new URL(original.url).pathname.slice(1);
  const url = Object.assign(new URL(original.url), { pathname: `/${name}_copy` }).href;
  const server = postgres(Object.assign(new URL(original.url), { pathname: '/postgres' }).href, { max: 1 });
  await server.unsafe(`create database ${name}_copy template ${name}`);
  copy = {
    url,
    async drop() {
      await server.unsafe(`drop database ${name}_copy with (force)`);
      await server.end();
    },
  };
});
afterAll(async () => {
  await copy.drop();
  await original.drop();
});

/** How many rows each table and sequence has, and their checksum. */
async function rows({ url }: TestDatabase): Promise<Record<string, string>> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const found = await liveRows(sql).finally(() => sql.end());
  return Object.fromEntries(
    Object.entries(found).map(([name, all]) => [
      name,
      `${(all as unknown[]).length} ${createHash('sha256').update(JSON.stringify(all)).digest('hex')}`,
    ]),
  );
}

/**
 * Runs a command of the path, which must succeed. Returns what it says step by step, but not what it waited for:
 * autovacuum may be at these tables, and the next run finds it gone.
 */
async function migrate({ url }: TestDatabase, ...words: string[]): Promise<readonly string[]> {
  const { code, stderr } = await run(['migrate', ...words], environmentFor(url));
  expect({ words, code, stderr }).toMatchObject({ code: 0 });
  return stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('waiting for '));
}

/** What a dry run and the run after it say: the same, and the first changes nothing. */
async function rehearseAndRun(database: TestDatabase, ...words: string[]): Promise<readonly string[]> {
  const before = await rows(database);
  const foreseen = await migrate(database, ...words, '--dry-run');
  expect(await rows(database)).toEqual(before);
  const done = await migrate(database, ...words);
  expect(foreseen).toEqual(done.map((line) => `dry run: ${line}`));
  return done;
}

test('the guided path: state, dry run, run, verify, back and forth, on a copy and then in earnest, with the same counts (4.5, 4.6)', async () => {
  const before = await rows(original);
  const said: (readonly string[])[] = [];
  for (const database of [copy, original]) {
    await migrate(database, 'status');
    const down = await rehearseAndRun(database, 'down', '99');
    await migrate(database, 'status');
    await migrate(database, 'plan');
    const up = await rehearseAndRun(database, 'up');
    await migrate(database, 'verify');
    expect(down).toContain(`kept ${people} rows of users in rolecall_archive`);
    expect(up).toContain(`brought back ${people} rows of users`);
    expect(await rows(database)).toEqual(before);
    // The copy's own new beginning is one row of the journal more.
    said.push([...down, ...up].filter((line) => !/ (?:journal|epochs)\b/.test(line)));
  }
  expect(said[0]).toEqual(said[1]);
}, 600_000);
