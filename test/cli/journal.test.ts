import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run, start } from '../support/program.ts';
import { openTestRuntime } from '../support/runtime.ts';

const maria = 'maria' as UserId;
const terms = { startsAt: null, expiresAt: Date.UTC(2099, 0, 1) };

let database: TestDatabase;
let sql: postgres.Sql;
let folder: string;
let before: string;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
  folder = await mkdtemp(join(tmpdir(), 'rolecall-journal-test-'));
  const runtime = await openTestRuntime(database.url);
  const call = () => operatorCall(20_000);
  await runtime.users.create(call(), { id: '=2+2' as UserId, email: null, active: true });
  before = (await runtime.users.create(call(), { id: maria, email: null, active: true })).revision;
  const reason = '=HYPERLINK("http://x"), "quoted"\nand more';
  await runtime.grants.put(call(), maria, 'loader' as RoleKey, 'north' as Scope, { ...terms, reason });
  await runtime.close();
}, 60_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const rolecall = (...words: string[]) => run(words, environmentFor(database.url));

test('journal verify says that the journal is whole, or names the first bad row and exits with 2 (D-06)', async () => {
  const whole = await rolecall('journal', 'verify');
  expect(whole).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^The journal is whole: \d+ rows\.$/m),
  });
  const value = Number(before.split('-')[1]);
  await sql`update rolecall.journal set kind = 'user_updated' where revision = ${value}`;
  const broken = await rolecall('journal', 'verify', '--json');
  expect(broken.code).toBe(2);
  expect(JSON.parse(broken.stdout)).toMatchObject({
    whole: false,
    faults: [expect.stringContaining(`row ${value}.1 `)],
  });
  expect(broken.stderr).toMatch(/the journal is not whole/);
  await sql`update rolecall.journal set kind = 'user_created' where revision = ${value}`;
});

test('journal checkpoint is a file that finds an end that was cut off (D-06)', async () => {
  const file = join(folder, 'checkpoint.json');
  expect(await rolecall('journal', 'checkpoint', '--out', file)).toMatchObject({ code: 0 });
  expect((await rolecall('journal', 'checkpoint', '--out', file)).code).not.toBe(0);
  expect(await rolecall('journal', 'verify', '--checkpoint', file)).toMatchObject({ code: 0 });
  await sql`create table public.cut as select j.*, r.* from rolecall.journal j, (select value, journal_head, time as head_time
    from rolecall.revision) r where j.revision = r.value`;
  await sql`create table public.cut_personal as select p.* from rolecall.personal p join rolecall.revision r on p.revision = r.value`;
  await sql`delete from rolecall.personal p using rolecall.revision r where p.revision = r.value`;
  await sql`delete from rolecall.journal j using rolecall.revision r where j.revision = r.value`;
  await sql`update rolecall.revision set (value, catalogue_value, journal_head) = (select revision, least(catalogue_value, revision),
    hmac from rolecall.journal order by revision desc, number desc limit 1)`;
  expect(await rolecall('journal', 'verify')).toMatchObject({ code: 0 });
  const found = await rolecall('journal', 'verify', '--checkpoint', file);
  expect(found).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/is missing, which was there at .*: the end was cut off/),
  });
  await sql`insert into rolecall.journal select revision, number, time, kind, actor_kind, actor_pk, credential_pk, request_id,
    user_pk, role_pk, permission_pk, before, after, digests, hmac from public.cut`;
  await sql`insert into rolecall.personal select * from public.cut_personal`;
  await sql`update rolecall.revision set (value, journal_head, time) = (select value, journal_head, head_time from public.cut limit 1)`;
  expect(await rolecall('journal', 'verify', '--checkpoint', file)).toMatchObject({ code: 0 });
  await writeFile(file, (await readFile(file, 'utf8')).replace(/"number": \d+/, '"number": 9'));
  expect(await rolecall('journal', 'verify', '--checkpoint', file)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/was altered/),
  });
});

test('journal export writes every row, oldest first, and no formula for a spreadsheet', async () => {
  const lines = (await rolecall('journal', 'export')).stdout.trimEnd().split('\n');
  const entries = lines.map(
    (line) => JSON.parse(line) as { kind: string; user: string | null; revision: string; after: object },
  );
  const [rows] = await sql<[{ count: number }]>`select count(*)::int as count from rolecall.journal`;
  expect(entries).toHaveLength(rows.count);
  expect(entries.slice(-2).map(({ kind, user }) => `${kind} ${user}`)).toEqual([
    'user_created maria',
    'grant_set maria',
  ]);
  expect(entries.at(-1)?.after).toMatchObject({ startsAt: null, expiresAt: '2099-01-01T00:00:00.000Z' });
  await sql`update rolecall.journal set through_pk = (select pk from rolecall.users where id = '=2+2')
    where kind = 'grant_set'`;
  const file = join(folder, 'journal.csv');
  const { stderr } = await rolecall('journal', 'export', '--format', 'csv', '--out', file);
  expect(stderr).toMatch(/^Wrote \d+ rows\.$/m);
  const csv = await readFile(file, 'utf8');
  expect(csv.split('\r\n')[0]).toMatch(/^revision,number,time,kind,/);
  expect(csv).toContain('""expiresAt"":""2099-01-01T00:00:00.000Z""');
  expect(csv.split('\r\n')[0]).toMatch(/,acted_for,through$/);
  expect(csv).toContain('"{""reason"":""=HYPERLINK(');
  expect(csv).toMatch(/}",false,\r\n.*more""}",true,'=2\+2\r\n$/s);
  const none = await rolecall('journal', 'export', '--to', '2000-01-01T00:00:00Z');
  expect(none).toMatchObject({ code: 0, stdout: '' });
  expect((await rolecall('journal', 'export', '--from', 'yesterday')).code).toBe(1);
});

test('journal export says why it cannot write, and ends when its reader has had enough', async () => {
  const file = join(folder, 'there.ndjson');
  await writeFile(file, 'mine');
  const refused = await rolecall('journal', 'export', '--out', file);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(`cannot write ${file}: EEXIST`) });
  expect(refused.stderr).not.toContain('    at ');
  expect(await readFile(file, 'utf8')).toBe('mine');
  await sql`insert into rolecall.users (id) select 'n' || n from generate_series(1, 3) n`;
  const command = `set -o pipefail; ${process.execPath} bin/rolecall.js journal export | head -c 1`;
  const program = start(['-c', command], environmentFor(database.url), { command: 'bash' });
  const { code } = await program.ended();
  expect(code).toBe(0);
  expect(program.output()).toMatchObject({
    stdout: '{',
    stderr: expect.stringMatching(/^Wrote \d+ rows?\.$/m),
  });
});

test('diff says what came and went between two moments, and what happened', async () => {
  const { stdout } = await rolecall('diff', 'maria', '--from', before);
  expect(stdout).toMatch(/^in north\n(?: {2}\+ \w+\n)+/m);
  expect(stdout).toMatch(/grant_set loader in north, by operator through =2\+2: =HYPERLINK/);
  const json = JSON.parse((await rolecall('diff', 'maria', '--from', before, '--json')).stdout);
  expect(json.scopes).toMatchObject([{ scope: 'north', lost: [] }]);
  expect(json.scopes[0].gained).toContain('orders_load_order');
  const same = await rolecall('diff', 'maria', '--from', before, '--to', before);
  expect(same.stdout).toMatch(/The user may do the same/);
  expect(await rolecall('diff', 'nobody', '--from', before)).toMatchObject({ code: 2 });
  expect(await rolecall('diff', 'maria', '--from', '2999-01-01T00:00:00Z')).toMatchObject({ code: 1 });
});
