import { readFile } from 'node:fs/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { dueIn, operatorCall } from '../../src/services/call.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel, uninstallRowLevel } from '../../src/storage/row-level/install.ts';
import { lintRowLevel } from '../../src/storage/row-level/lint.ts';
import { openTestRuntime } from '../support/runtime.ts';
import { createTenant, type Tenant } from '../support/tenant.ts';

let tenant: Tenant;
const urls: Record<string, string> = {};
beforeAll(async () => {
  tenant = await createTenant();
  await tenant.sql.unsafe('revoke create on schema public from public');
  await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
  urls['superuser'] = tenant.superuserUrl;
  urls['the owner of the tables'] = tenant.url;
  urls['member of `rolecall_owner`'] = await tenant.login('maintainer', 'in role rolecall_owner');
  urls['member of `rolecall_service`'] = await tenant.login('service', 'in role rolecall_service');
  urls['member of `rolecall_reader`'] = await tenant.login('reader', 'in role rolecall_reader');
  urls['anybody else'] = await tenant.login('stranger');
  urls['anybody else who was granted all tables'] = await tenant.login('granted');
  urls['the same with `BYPASSRLS`'] = await tenant.login('bypassing', 'bypassrls');
  await tenant.sql.unsafe(`
    grant usage on schema rolecall to ${tenant.nameOf('granted')}, ${tenant.nameOf('bypassing')};
    grant all on all tables in schema rolecall to ${tenant.nameOf('granted')}, ${tenant.nameOf('bypassing')};
    grant execute on function rolecall.acts_for_owner, rolecall.acts_for_service to ${tenant.nameOf('granted')};
    insert into rolecall.users (id) values ('ada'), ('bea');
    insert into rolecall.users (id, active) values ('ivan', false);
    insert into rolecall.identities (user_pk, issuer, subject) select pk, 'https://id', '42' from rolecall.users where id = 'ada';
    insert into rolecall.permissions (resource, action) values ('documents', 'view_document');
    insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope)
      select u.pk, p.pk, 'allow', 'org/' || u.id from rolecall.users as u, rolecall.permissions as p;
    insert into rolecall.journal (revision, number, time, kind, actor_kind, digests, hmac)
      values (-1, 1, now(), 'x', 'operator', '{}', decode(repeat('00', 32), 'hex'));
    create table public.documents (name text, scope text);
    insert into public.documents values ('a', 'org/ada/x'), ('b', 'org/bea'), ('orphan', null), ('odd', 'org/ada/');
    alter table public.documents enable row level security;
    create policy readers on public.documents
      using (rolecall.covers((select rolecall.scopes_of('documents_view_document')), scope));
    grant select on public.documents to rolecall_reader;`);
});
afterAll(() => tenant.drop());

/** What a statement comes to for a role; nothing of it stays. */
async function outcome(url: string, statement: string): Promise<string> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  let answer = '';
  const stop = new Error('undone');
  try {
    await sql.begin(async (transaction) => {
      const done = await transaction.unsafe(statement).simple();
      const result = Array.isArray(done.at(-1)) ? done.at(-1) : done;
      answer = `${result?.count} rows`;
      throw stop;
    });
  } catch (error) {
    if (error === stop) return answer;
    if (error instanceof postgres.PostgresError && error.code === '42501') return 'refused';
    throw error;
  } finally {
    await sql.end();
  }
  return answer;
}

describe('role by role', () => {
  const effects: Readonly<Record<string, readonly [statement: string, all: string]>> = {
    'sees our rows': ['select from rolecall.users', '3 rows'],
    'changes grants': ['update rolecall.user_permissions set reason = null', '3 rows'],
    'adds to the journal': [
      `insert into rolecall.journal select -2, 1, time, kind, actor_kind, null, null, null, null, null, null, null, null, digests, hmac
        from (values (now(), 'x', 'operator', '{}'::jsonb, decode(repeat('00', 32), 'hex'))) as v (time, kind, actor_kind, digests, hmac)`,
      '1 rows',
    ],
    'changes the journal': ['delete from rolecall.journal where revision < 0', '1 rows'],
    'asks about anybody': [
      `select where rolecall.has_permission('ada', 'documents_view_document', 'org/ada')`,
      '1 rows',
    ],
    'poses as anybody': [
      `set local rolecall.user_id = 'bea'; select where rolecall.can('documents_view_document', 'org/bea')`,
      '1 rows',
    ],
  };

  test('it is as docs/row-level-security.md says (1.10)', async () => {
    const names = Object.keys(effects);
    const lines = [`| database role | ${names.join(' | ')} |`, `|---|${names.map(() => '---|').join('')}`];
    for (const [role, url] of Object.entries(urls)) {
      const cells: string[] = [];
      for (const [statement, all] of Object.values(effects)) {
        const found = await outcome(url, statement);
        cells.push(
          found === all ? 'yes' : found === '0 rows' ? 'no rows' : found === 'refused' ? 'no' : found,
        );
      }
      lines.push(`| ${role} | ${cells.join(' | ')} |`);
    }
    const document = await readFile(new URL('../../docs/row-level-security.md', import.meta.url), 'utf8');
    expect(document).toContain(lines.join('\n'));
  });

  test('the service works as a member of `rolecall_service` and no more', async () => {
    const runtime = await openTestRuntime(urls['member of `rolecall_service`'] as string);
    try {
      await runtime.matrix.apply(operatorCall(20_000), [await readMatrixFile(shippedBaseline)]);
      const user = { id: 'cleo' as UserId, email: 'cleo@example.com', active: true };
      expect(await runtime.users.create(operatorCall(20_000), user)).toMatchObject({ changed: true });
      const passing = { ...user, id: 'passing' as UserId, email: null };
      await runtime.users.create(operatorCall(20_000), passing);
      expect(await runtime.users.erase(operatorCall(20_000), passing.id)).toMatchObject({ changed: true });
      expect(await runtime.health.readiness(dueIn(20_000))).toEqual({ ready: true, problems: [] });
    } finally {
      await runtime.close();
    }
  });
});

describe("a neighbour's policy", () => {
  const claims = (value: unknown) => `set local request.jwt.claims = '${JSON.stringify(value)}'`;
  const setting = (value: string) => `set local rolecall.user_id = '${value}'`;
  const ada = { iss: 'https://id', sub: '42' };
  const cases: readonly (readonly [what: string, settings: readonly string[], rows: string])[] = [
    ['nobody', [], '0 rows'],
    ['an empty setting', [setting('')], '0 rows'],
    ['a setting', [setting('ada')], '1 rows'],
    ['a setting in other letters', [setting('Ada')], '0 rows'],
    ['a setting that names nobody', [setting(`x'' or true--`)], '0 rows'],
    ['somebody who is not active', [setting('ivan')], '0 rows'],
    ['claims', [claims(ada)], '1 rows'],
    ['claims of another issuer', [claims({ ...ada, iss: 'https://other' })], '0 rows'],
    ['claims with a number for a subject', [claims({ ...ada, sub: 42 })], '0 rows'],
    ['claims without a subject', [claims({ role: 'anon' })], '0 rows'],
    ['claims that are null', [claims(null)], '0 rows'],
    ['claims and setting that agree', [claims(ada), setting('ada')], '1 rows'],
    ['claims and setting that disagree', [claims(ada), setting('bea')], '0 rows'],
    ['claims that name nobody and a setting', [claims({ role: 'anon' }), setting('ada')], '0 rows'],
    ['claims that name a stranger and a setting', [claims({ ...ada, sub: '7' }), setting('ada')], '0 rows'],
  ];

  test.each(cases)('shows to %s what they may see', async (_what, settings, rows) => {
    const reader = urls['member of `rolecall_reader`'] as string;
    expect(await outcome(reader, [...settings, 'select from public.documents'].join('; '))).toBe(rows);
  });

  test('forgets with the transaction for whom it worked', async () => {
    const sql = postgres(urls['member of `rolecall_reader`'] as string, { max: 1 });
    const seen = () => sql`select name from public.documents`;
    await sql.begin(async (transaction) => {
      await transaction`select set_config('rolecall.user_id', 'ada', true)`;
      expect(await transaction`select name from public.documents`).toHaveLength(1);
    });
    expect(await seen()).toHaveLength(0);
    await sql.end();
  });

  test('fetches the scopes once a statement, not once a row', async () => {
    const sql = postgres(urls['member of `rolecall_reader`'] as string, { max: 1 });
    const plan = await sql`explain select from public.documents`;
    expect(JSON.stringify(plan)).toMatch(/InitPlan/);
    await sql.end();
  });

  test('cannot be led astray by operators and functions that its caller puts in the way', async () => {
    const reader = urls['member of `rolecall_reader`'] as string;
    await tenant.sql.unsafe(`create schema trap; grant usage on schema trap to public;
      create function trap.yes(text, text) returns boolean language sql as 'select true';
      create operator trap.^@ (leftarg = text, rightarg = text, function = trap.yes);
      create function trap.coalesce_(boolean) returns boolean language sql as 'select true';
      create function trap.current_setting(text, boolean) returns text language sql as $$ select 'bea' $$`);
    const led =
      "set local search_path = trap, pg_catalog; set local rolecall.user_id = 'ada'; select from public.documents";
    expect(await outcome(reader, led)).toBe('1 rows');
  });
});

describe('rls lint', () => {
  const lint = () => asOperator(tenant.superuserUrl, 'read only', lintRowLevel);
  const subjects = async () => (await lint()).map(({ subject, cause }) => `${subject}: ${cause}`);

  test('finds the grants that were made around the kit, and nothing else in an installation', async () => {
    const found = await lint();
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter(({ subject }) => !/_(granted|bypassing)$/.test(subject))).toEqual([]);
    await tenant.sql.unsafe(
      `revoke all on all tables in schema rolecall from ${tenant.nameOf('granted')}, ${tenant.nameOf('bypassing')}`,
    );
    expect(await lint()).toEqual([]);
  });

  const faults: readonly (readonly [what: string, make: () => string, subject: RegExp])[] = [
    [
      'a table without row-level security',
      () => 'alter table rolecall.roles disable row level security',
      /^rolecall\.roles: .*off/,
    ],
    [
      'a table whose owner is let through',
      () => 'alter table rolecall.roles no force row level security',
      /^rolecall\.roles: .*forced/,
    ],
    [
      'a policy that lets everybody through',
      () => 'create policy open on rolecall.roles using (true)',
      /^open on rolecall\.roles: /,
    ],
    [
      'a policy that was changed',
      () => 'alter policy service on rolecall.roles using (true)',
      /^service on rolecall\.roles: /,
    ],
    [
      'a service with BYPASSRLS',
      () => `alter role ${tenant.nameOf('service')} bypassrls`,
      /_service: .*BYPASSRLS/,
    ],
    [
      'a service that is a superuser',
      () => `alter role ${tenant.nameOf('service')} superuser`,
      /_service: .*superusers/,
    ],
    [
      'a service that is a member of the owner',
      () => `grant ${tenant.owner} to ${tenant.nameOf('service')}`,
      /_service: .*owns/,
    ],
    [
      'an owner that is a member of the service',
      () => `grant rolecall_service to ${tenant.owner}`,
      /_owner: .*owns/,
    ],
    [
      'a view with the rights of its owner',
      () => 'create view public.people as select id from rolecall.users',
      /^public\.people: .*view/,
    ],
    [
      'a materialized view',
      () => 'create materialized view public.people as select id from rolecall.users',
      /^public\.people: .*view/,
    ],
    [
      'a function without a search_path',
      () => 'alter function rolecall.can reset search_path',
      /^rolecall\.can\(text,text\): .*looked up/,
    ],
    [
      'a function for everybody',
      () => 'grant execute on function rolecall.can to public',
      /^rolecall\.can\(text,text\): everybody/,
    ],
    [
      'a leakproof function',
      () => 'alter function rolecall.covers leakproof',
      /^rolecall\.covers.*: .*leakproof/,
    ],
    [
      'a service that may truncate',
      () => 'grant truncate on rolecall.users to rolecall_service',
      /^TRUNCATE on rolecall\.users to rolecall_service: /,
    ],
    [
      'a service that may rewrite the journal',
      () => 'grant update on rolecall.journal to rolecall_service',
      /^UPDATE on rolecall\.journal to rolecall_service: /,
    ],
    [
      'everybody reading a table',
      () => 'grant select on rolecall.roles to public',
      /^SELECT on rolecall\.roles to PUBLIC: /,
    ],
    [
      'a role that may make things in our schema',
      () => 'grant create on schema rolecall to rolecall_service',
      /^rolecall_service: .*make objects/,
    ],
    ['everybody making things in public', () => 'grant create on schema public to public', /^public: /],
    [
      'a privilege that is missing',
      () => 'revoke insert on rolecall.journal from rolecall_service',
      /^INSERT on rolecall\.journal to rolecall_service: .*not given/,
    ],
    [
      'a function that is not granted',
      () => 'revoke execute on function rolecall.can from rolecall_reader',
      /^EXECUTE on rolecall\.can.* to rolecall_reader: .*not given/,
    ],
  ];

  test.each(faults)('names %s (D-07)', async (_what, make, subject) => {
    const stop = new Error('undone');
    const found: string[] = [];
    await tenant.sql
      .begin(async (transaction) => {
        await transaction.unsafe(`${make()}; set local search_path = pg_catalog`).simple();
        found.push(...(await lintRowLevel(transaction)).map((each) => `${each.subject}: ${each.cause}`));
        throw stop;
      })
      .catch((error: unknown) => (error === stop ? undefined : Promise.reject(error)));
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((line) => !subject.test(line))).toEqual([]);
    expect(await subjects()).toEqual([]);
  });
});

describe('rls install', () => {
  const acl = () =>
    tenant.sql`select relname, relacl::text from pg_class where relnamespace = 'rolecall'::regnamespace order by 1`;

  test('run again changes nothing, and takes back what is too much', async () => {
    const before = [...(await acl())];
    expect(await asOperator(tenant.superuserUrl, 'read write', installRowLevel)).toEqual({
      made: [],
      granted: true,
    });
    expect([...(await acl())]).toEqual(before);
    await tenant.sql.unsafe('grant all on rolecall.journal to rolecall_service');
    await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
    expect([...(await acl())]).toEqual(before);
  });

  test('by a role that may not says so, and keeps nothing', async () => {
    await expect(
      asOperator(urls['anybody else'] as string, 'read write', installRowLevel),
    ).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  test('is undone by uninstall, which first wants the members gone', async () => {
    await expect(asOperator(tenant.superuserUrl, 'read write', uninstallRowLevel)).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/_service in rolecall_service/) as string,
    });
    for (const [name, role] of [
      ['maintainer', 'owner'],
      ['service', 'service'],
      ['reader', 'reader'],
    ])
      await tenant.sql.unsafe(`revoke rolecall_${role} from ${tenant.nameOf(name as string)}`);
    const { removed, kept } = await asOperator(tenant.superuserUrl, 'read write', uninstallRowLevel);
    // The neighbour's table was granted to the readers: that is not ours to take back.
    expect({ removed, kept }).toEqual({
      removed: ['rolecall_owner', 'rolecall_service'],
      kept: ['rolecall_reader'],
    });
    await tenant.sql.unsafe('revoke all on public.documents from rolecall_reader');
    expect(await asOperator(tenant.superuserUrl, 'read write', uninstallRowLevel)).toEqual({
      removed: ['rolecall_reader'],
      kept: [],
    });
    expect(
      await tenant.sql`select 1 from pg_class, aclexplode(relacl) where relnamespace = 'rolecall'::regnamespace
      and grantee <> relowner`,
    ).toHaveLength(0);
  });
});
