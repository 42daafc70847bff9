import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const lines: string[] = [];

let service: TestService;
beforeAll(async () => {
  service = await startTestService({ onLog: (line) => void lines.push(line) });
});
afterAll(() => service.close());

async function status(key: string): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  return (await service.app.inject({ url: '/me/permissions', headers })).statusCode;
}

async function everyRow(): Promise<string> {
  const sql = postgres(service.database.url, { max: 1 });
  try {
    const tables = await sql<{ name: string }[]>`
      select relname as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'`;
    const rows = await Promise.all(
      tables.map(({ name }) => sql`select t::text as row from ${sql(`rolecall.${name}`)} as t`),
    );
    return rows
      .flat()
      .map(({ row }) => row)
      .join('\n');
  } finally {
    await sql.end();
  }
}

test('of many keys, used and refused, no secret is in any table or log line (A-22)', {
  timeout: 600_000,
}, async () => {
  const count = long ? 10_000 : 100;
  const keys: string[] = [];
  for (let made = 0; made < count; made += 1) {
    const again = made % 2 === 0 ? { 'idempotency-key': `make-${made}` } : {};
    const { statusCode, body } = await service.app.inject({
      method: 'POST',
      url: '/keys',
      headers: { authorization: `Bearer ${service.adminKey}`, ...again },
      payload: { user: 'root', name: `key ${made}` },
    });
    expect(statusCode).toBe(201);
    const { key } = JSON.parse(body);
    keys.push(key);
    if (made % 10 === 0) expect([await status(key), await status(`${key}x`)]).toEqual([200, 401]);
  }
  const said = `${await everyRow()}\n${lines.join('\n')}`;
  expect(said).toContain(`key ${count - 1}`);
  expect(lines.length).toBeGreaterThan(count);
  // One pass over all that was said finds the beginning of any form of any secret.
  const secrets = keys.map((key) => key.slice(16, 59));
  const forms = secrets.flatMap((secret) => [
    secret,
    [...secret].reverse().join(''),
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('base64'),
  ]);
  const windows = new Set(forms.map((form) => form.slice(0, 24)));
  const found = [];
  for (let at = 0; at + 24 <= said.length; at += 1) if (windows.has(said.slice(at, at + 24))) found.push(at);
  expect(found).toEqual([]);
  expect(said).not.toMatch(/rc_[0-9A-Za-z]{12}_[0-9A-Za-z]/);
  // Whatever is as long and as mixed as a secret would be one: hashes are hexadecimal.
  const runs = said.match(/(?<![0-9A-Za-z])[0-9A-Za-z]{43,}(?![0-9A-Za-z])/g) ?? [];
  expect(runs.filter((run) => !/^x?[0-9a-f]+$/.test(run))).toEqual([]);
  summarize('key storage (A-22)', { keys: count, characters: said.length, found: found.length });
});

test('every typing error of one character is refused without a query (A-22)', async () => {
  const key = service.adminKey;
  // What was proven is remembered, and must not be taken for what resembles it.
  for (let times = 0; times < 3; times += 1) expect(await status(key)).toBe(200);
  const before = await reads();
  let typed = 0;
  for (let place = 0; place < key.length; place += 1)
    for (const letter of alphabet) {
      if (letter === key[place]) continue;
      typed += 1;
      expect(await status(key.slice(0, place) + letter + key.slice(place + 1))).toBe(401);
    }
  expect(typed).toBeGreaterThan(61 * 60);
  expect(await reads()).toEqual(before);
  // The same count notices a key that is well-formed and unknown.
  expect(await status(await service.keyFor('somebody'))).toBe(200);
  expect(await reads()).not.toEqual(before);
});

test('a key is the same key however the scheme before it is written', async () => {
  const headers = [
    `Bearer ${service.adminKey}`,
    `bearer ${service.adminKey}`,
    `BEARER   ${service.adminKey}`,
  ];
  for (const authorization of [...headers, ...headers]) {
    const answer = await service.app.inject({ url: '/me/permissions', headers: { authorization } });
    expect(answer.statusCode).toBe(200);
  }
});

test('a key whose stored hash is another is refused, and so is one whose hash it is (A-22)', async () => {
  const [ann, ben, whole] = await Promise.all(['ann', 'ben', 'cleo'].map((user) => service.keyFor(user)));
  if (!ann || !ben || !whole) throw new Error('there are no keys');
  for (let time = 0; time < 3; time += 1)
    expect(await Promise.all([ann, ben, whole].map(status))).toEqual([200, 200, 200]);
  const sql = postgres(service.database.url, { max: 1 });
  try {
    const idOf = (key: string) => key.slice(3, 15);
    await sql`
      update rolecall.api_keys set secret_hash = other.secret_hash from rolecall.api_keys as other
      where (api_keys.id, other.id) in ((${idOf(ann)}, ${idOf(ben)}), (${idOf(ben)}, ${idOf(ann)}))`;
    await sql`update rolecall.api_keys set secret_hash = set_byte(secret_hash, 31, get_byte(secret_hash, 31) # 1) where id = ${idOf(whole)}`;
  } finally {
    await sql.end();
  }
  // A change of its user makes the process read the key again, once it asks how things stand.
  for (const user of ['ann', 'ben', 'cleo'])
    await service.as().put(`/users/${user}/roles/loader`).expect(201);
  expect(await status(service.adminKey)).toBe(200);
  for (let time = 0; time < 3; time += 1)
    expect(await Promise.all([ann, ben, whole].map(status))).toEqual([401, 401, 401]);
});

/** How often the database was asked who somebody is, or how things stand. */
async function reads(): Promise<readonly string[]> {
  const text = await service.runtime.metrics.text();
  return text.match(/^rolecall_(?:row_reads_total.*|questions_per_head_read_count.*)$/gm) ?? [];
}
