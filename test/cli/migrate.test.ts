import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../support/build.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run, start } from '../support/program.ts';
import { later } from '../support/steps.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createEmptyDatabase();
});
afterAll(() => database.drop());

const migrate = (...words: string[]) => run(['migrate', ...words], environmentFor(database.url));
/** What differs from run to run is told apart by kind only, or left out: autovacuum may be at a table, and waited for. */
const plain = (text: string) =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>                 ')
    .replace(/^waiting for tables that are in use\n/gm, '')
    .replaceAll(database.url, '<url>');

describe('what each command prints, and its exit code (3.6)', () => {
  // In the order of a life: every command on an empty database, then up, then what follows.
  const life: readonly (readonly [words: string, code: number])[] = [
    ['status', 0],
    ['status --json', 0],
    ['plan', 0],
    ['verify', 0],
    ['history', 0],
    ['up', 0],
    ['up', 0],
    ['up --json', 0],
    ['plan', 0],
    ['plan --json', 0],
    ['status', 0],
    ['history', 0],
    ['history --json', 0],
    ['verify', 0],
    ['verify --json', 0],
    ['repair', 0],
    ['repair --json', 0],
    ['lint', 0],
    ['lint --json', 0],
    ['up --to 9999', 1],
    ['down 1 --to 0000', 1],
    ['down 0', 1],
    ['down --destroy', 1],
    ['down --backup-ref somewhere', 1],
    ['new things', 1],
    ['down', 0],
    ['down 99', 0],
    ['plan --sql', 2],
    ['up', 0],
    ['down 99 --destroy --backup-ref tape-7 --json', 0],
    ['down', 0],
    ['up --to 0000', 0],
  ];

  test('is what it was', async () => {
    const pages: string[] = [];
    for (const [words, code] of life) {
      const { code: found, stdout, stderr } = await migrate(...words.split(' '));
      expect([words, found]).toEqual([words, code]);
      pages.push(
        `$ rolecall migrate ${words}  # ${found}\n${plain(stdout)}${plain(stderr).replace(/^/gm, '! ').replace(/! $/, '')}`,
      );
    }
    await expect(pages.join('\n')).toMatchFileSnapshot('migrate.golden.txt');
  });

  test('names what differs and exits with 2 (0.3, 0.5)', async () => {
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    await sql`alter table rolecall.users drop constraint users_id_length`;
    const [page, json, repair] = [
      await migrate('verify'),
      await migrate('verify', '--json'),
      await migrate('repair'),
    ];
    await sql.end();
    expect([page.code, json.code, repair.code]).toEqual([2, 2, 2]);
    expect(page.stdout).toMatch(/^constraint users\.users_id_length +missing +0000_create_rolecall /m);
    expect(page.stderr).toContain('rolecall: the database is not what it promises to be');
    expect(JSON.parse(json.stdout)).toMatchObject({
      whole: false,
      drift: [{ object: 'constraint users.users_id_length' }],
    });
    expect(repair.stderr).toContain('constraint users.users_id_length is missing');
  });

  test('is 3 for a database that cannot be reached, whatever is asked of it', async () => {
    const nowhere = environmentFor('postgres://rolecall:canary@127.0.0.1:1/x');
    for (const words of ['up', 'down', 'status', 'history', 'plan', 'verify', 'repair']) {
      const { code, stdout, stderr } = await run(['migrate', words], nowhere);
      expect([words, code]).toEqual([words, 3]);
      expect(stderr).toMatch(/^rolecall: the database at 127\.0\.0\.1:1 does not answer/);
      expect(stdout + stderr).not.toContain('canary');
    }
  });
});

describe('migrate new', () => {
  let checkout: string;
  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'rolecall-new-test-'));
    for (const part of ['package.json', 'bin', 'drizzle', 'dist', 'src', 'drizzle.config.ts'])
      await cp(join(projectRoot, part), join(checkout, part), { recursive: true });
    for (const part of ['node_modules', 'matrix'])
      await symlink(join(projectRoot, part), join(checkout, part));
  });
  afterAll(() => rm(checkout, { recursive: true, force: true }));
  const inCheckout = (...words: string[]) =>
    start(['migrate', ...words], environmentFor(database.url), { cwd: checkout }).ended();
  const read = (file: string) => readFile(join(checkout, 'drizzle', file), 'utf8');

  test('writes what the tables in TypeScript ask for, or an empty pair, and lint says what is still to do (3.6)', async () => {
    const [data, nickname] = [later(1, 'add_data'), later(2, 'add_nickname_to_users')];
    expect(await inCheckout('new', 'add_data')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`drizzle/${data}.sql and drizzle/${data}.down.sql`) as string,
    });
    expect(await read(`${data}.sql`)).not.toContain('ALTER');
    const users = join(checkout, 'src/storage/schema/users.ts');
    await writeFile(
      users,
      (await readFile(users, 'utf8')).replace(
        'email: exactText(),',
        'email: exactText(),\n    nickname: exactText(),',
      ),
    );
    const { code, stdout } = await inCheckout('new', 'add_nickname_to_users', '--json');
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { files: [`drizzle/${nickname}.sql`, `drizzle/${nickname}.down.sql`] },
    ]);
    expect(await read(`${nickname}.sql`)).toContain('ADD COLUMN "nickname"');
    const lint = await inCheckout('lint');
    expect(lint.code).toBe(2);
    expect(lint.stdout).toMatch(new RegExp(`^${nickname}\\.down\\.sql +- +both-ways`, 'm'));
    expect(lint.stdout).toMatch(new RegExp(`^${nickname}\\.sql +- +described`, 'm'));
  });
});
