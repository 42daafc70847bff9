import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

let database: TestDatabase;
let sql: postgres.Sql;
beforeEach(async () => {
  database = await createWatchedDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

const findingsOf = (stdout: string) =>
  JSON.parse(stdout) as {
    ok: boolean;
    findings: { severity: string; subject: string; cause: string; fix: string }[];
  };

test('doctor exits with 0 when nothing is to be mended, and 2 when something is, with cause and fix', async () => {
  const environment = environmentFor(database.url);
  const well = await run(['doctor', '--json'], environment);
  expect({ code: well.code, ...findingsOf(well.stdout) }).toMatchObject({ code: 0, ok: true });

  await sql.unsafe(
    `insert into rolecall.users (id) values ('a'), ('b'); select setval('rolecall.users_pk_seq', 1)`,
  );
  const ill = await run(['doctor', '--json'], environment);
  expect(ill).toMatchObject({ code: 2, stderr: 'rolecall: 1 problem to mend\n' });
  expect(findingsOf(ill.stdout).findings).toContainEqual(
    expect.objectContaining({ severity: 'problem', subject: 'rolecall.users_pk_seq' }),
  );
  const forPeople = await run(['doctor'], environment);
  expect(forPeople).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(
      /^problem: rolecall\.users_pk_seq\n {2}cause {2}.+\n {2}fix {4}select setval/m,
    ) as string,
  });
});

test('doctor lists every problem of the configuration, and no secret', async () => {
  const environment = {
    ...environmentFor('mysql://root:hush@db/x'),
    ROLECALL_JOURNAL_KEY: 'short',
    PORT: 'x',
  };
  const { code, stdout, stderr } = await run(['doctor', '--json'], environment);
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'rolecall: 3 problems to mend\n' });
  expect(findingsOf(stdout).findings).toHaveLength(3);
  expect(stdout).not.toMatch(/hush|short/);
});

test('a database that cannot be reached is what doctor finds, and a failure of rls', async () => {
  const environment = environmentFor('postgres://nobody:hush@127.0.0.1:1/none');
  const doctor = await run(['doctor', '--json'], environment);
  expect(doctor.code).toBe(2);
  expect(findingsOf(doctor.stdout).findings).toMatchObject([{ subject: 'DATABASE_URL' }]);
  expect(await run(['rls', 'lint'], environment)).toMatchObject({ code: 3, stdout: '' });
});

test('rls install, lint and uninstall say what they did', async () => {
  const environment = environmentFor(database.url);
  await sql`revoke create on schema public from public`;
  const lint = await run(['rls', 'lint'], environment);
  // The roles belong to the whole server, so that another test may have made them.
  expect(lint.code).toBe(2);
  expect(await run(['rls', 'install'], environment)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/Gave each role what it needs/) as string,
  });
  const granted = await sql`select 1 from pg_class, aclexplode(relacl) where relname = 'journal'
    and grantee::regrole::text = 'rolecall_service'`;
  expect(granted).toHaveLength(2);
  expect(await run(['rls', 'lint', '--json'], environment)).toMatchObject({ code: 0 });
  // In the end another test's database may still need a role; here nothing of them is left.
  const gone = await run(['rls', 'uninstall', '--json'], environment);
  if (gone.code === 0) {
    const left =
      await sql`select 1 from pg_class, aclexplode(relacl) where relnamespace = 'rolecall'::regnamespace and grantee <> relowner`;
    expect(left).toHaveLength(0);
  } else expect(gone.stderr).toMatch(/have members/);
});
