import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as schema from '../../src/storage/schema/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tables = Object.values<unknown>(schema).flatMap((value) =>
  is(value, PgTable) ? [getTableConfig(value)] : [],
);

let database: TestDatabase;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { search_path: 'pg_catalog' } });
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

/** One text for each row of a query, sorted. */
async function lines(query: PromiseLike<readonly { line: string }[]>): Promise<readonly string[]> {
  return (await query).map(({ line }) => line).sort();
}

describe('the tables in TypeScript and the migrated database', () => {
  test('leave drizzle-kit nothing to generate (1.5)', async () => {
    const out = await mkdtemp(join(tmpdir(), 'rolecall-drift-test-'));
    try {
      await cp(join(root, 'drizzle'), out, { recursive: true });
      const before = await readdir(out, { recursive: true });
      const program = join(root, 'node_modules/drizzle-kit/bin.cjs');
      const words = ['generate', '--dialect=postgresql', '--schema=src/storage/schema/index.ts'];
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [program, ...words, `--out=${relative(root, out)}`, '--name=drift'],
        { cwd: root },
      );
      expect(stdout).toContain('No schema changes');
      expect(await readdir(out, { recursive: true })).toEqual(before);
    } finally {
      await rm(out, { recursive: true, force: true });
    }
  });

  test('have the same tables', async () => {
    const live = await lines(sql`select relname as line from pg_class
      where relnamespace = 'rolecall'::regnamespace and relkind not in ('i', 'S', 'c')`);
    expect(live).toEqual(tables.map(({ name }) => name).sort());
    expect(tables.map((table) => table.schema)).toEqual(Array(tables.length).fill('rolecall'));
  });

  test('have the same columns of the same types, as nullable, generated and with or without a default', async () => {
    const declared = tables.flatMap(({ name, columns }) =>
      columns.map((column) => {
        const type = column.getSQLType().replace(' COLLATE "C"', '').replace('timestamp (', 'timestamp(');
        const filled = column.generated ? 'generated' : column.generatedIdentity ? 'identity' : '';
        const filledAnyhow = column.hasDefault && filled === '' ? 'default' : filled;
        const collation = column.getSQLType().endsWith('COLLATE "C"') ? 'C' : '';
        return [name, column.name, type, column.notNull, filledAnyhow, collation].join(' ');
      }),
    );
    const live = await lines(sql`
      select concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull::text,
        case when attgenerated = 's' then 'generated' when attidentity = 'a' then 'identity'
          when atthasdef then 'default' else '' end,
        case when attcollation = '"C"'::regcollation then 'C' else '' end) as line
      from pg_attribute join pg_class on pg_class.oid = attrelid
      where relnamespace = 'rolecall'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped`);
    expect(live).toEqual(declared.sort());
  });

  test('have the same constraints, each by its name', async () => {
    const declared = tables.flatMap((table) => [
      ...table.checks.map(({ name }) => `${table.name} c ${name}`),
      ...table.uniqueConstraints.map((unique) => `${table.name} u ${unique.getName()}`),
      ...table.foreignKeys.map((key) => `${table.name} f ${key.getName()}`),
      ...table.primaryKeys.map((key) => `${table.name} p ${key.getName()}`),
      ...table.columns.filter((column) => column.primary).map(() => `${table.name} p ${table.name}_pkey`),
    ]);
    const live = await lines(sql`select concat_ws(' ', conrelid::regclass, contype, conname) as line
      from pg_constraint where connamespace = 'rolecall'::regnamespace and contype <> 'n'`);
    expect(live.map((line) => line.replace(/^rolecall\./, ''))).toEqual(declared.sort());
  });

  test('have the same indexes over the same columns, each by its name', async () => {
    const declared = tables.flatMap((table) =>
      table.indexes.map(({ config }) => {
        const columns = config.columns.flatMap((column) => ('name' in column ? [column.name] : []));
        return `${table.name} ${config.name} ${config.unique} ${columns}`;
      }),
    );
    const live = await lines(sql`
      select concat_ws(' ', tables.relname, indexes.relname, indisunique::text, (
        select string_agg(attname, ',' order by place) from unnest(indkey) with ordinality as k (number, place)
          join pg_attribute on (attrelid, attnum) = (indrelid, number))) as line
      from pg_index join pg_class as indexes on indexes.oid = indexrelid join pg_class as tables on tables.oid = indrelid
      where tables.relnamespace = 'rolecall'::regnamespace
        and not exists (select 1 from pg_constraint where conindid = indexrelid and contype in ('p', 'u'))`);
    expect(live).toEqual(declared.sort());
  });

  test('have row-level security on every table, forced on its owner too, with the two policies and no other (D-07)', async () => {
    const live = await lines(sql`
      select concat_ws(' ', relname, relrowsecurity::text, relforcerowsecurity::text, (
        select string_agg(polname || ': ' || pg_get_expr(polqual, polrelid), '; ' order by polname)
          from pg_policy where polrelid = pg_class.oid and polcmd = '*' and polwithcheck is null and polroles = '{0}')) as line
      from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'`);
    const policies = (table: string) =>
      `owner: ( SELECT rolecall.acts_for_owner('rolecall.${table}'::regclass) AS acts_for_owner); ` +
      'service: ( SELECT rolecall.acts_for_service() AS acts_for_service)';
    expect(live).toEqual(tables.map(({ name }) => `${name} true true ${policies(name)}`).sort());
    const count = await lines(sql`select count(*)::text as line from pg_policy`);
    expect(count).toEqual([String(2 * tables.length)]);
  });

  test('have nothing else: no view, function, trigger or type that is not of the row-level security', async () => {
    const others = await lines(sql`
      select proname as line from pg_proc where pronamespace = 'rolecall'::regnamespace
      union all select tgname from pg_trigger where not tgisinternal
      union all select typname from pg_type join pg_class on pg_class.oid = typrelid
        where typnamespace = 'rolecall'::regnamespace and relkind = 'c'
      union all select typname from pg_type where typnamespace = 'rolecall'::regnamespace and typrelid = 0 and typelem = 0
      union all select extname from pg_extension where extname <> 'plpgsql'`);
    const functions = [
      'acts_for_owner',
      'acts_for_service',
      'can',
      'covers',
      'current_user_id',
      'has_permission',
    ];
    const more = [
      'has_role',
      'held_scopes',
      'including',
      'scopes_of',
      'scopes_of_permission',
      'scopes_of_role',
    ];
    expect(others).toEqual([...functions, ...more]);
  });

  test('name every constraint and index by what it is for, not by chance', async () => {
    const named = await lines(sql`
      select conname as line from pg_constraint where connamespace = 'rolecall'::regnamespace and contype <> 'n'
      union all select relname from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'i'`);
    const byChance = /_check\d*$|_(key|fkey|idx|excl|pkey|fk)\d+$|[_-][0-9a-f]{8,}$/;
    expect(named.filter((name) => byChance.test(name) || name.length >= 63)).toEqual([]);
  });

  test('are made by the very steps that drizzle-kit remembers', async () => {
    const remembered = JSON.parse(await readFile(join(root, 'drizzle/meta/_journal.json'), 'utf8')) as {
      entries: { tag: string }[];
    };
    const files = (await readdir(join(root, 'drizzle'))).filter((name) =>
      /^\d{4}_[a-z0-9_]+\.sql$/.test(name),
    );
    expect(files.sort()).toEqual(remembered.entries.map(({ tag }) => `${tag}.sql`));
  });
});

describe('the database by itself', () => {
  const long = (length: number) => `repeat('a', ${length})`;
  const name255 = `repeat('😀', 255)`;
  const user = (id: string, email = 'null') =>
    `insert into rolecall.users (id, email) values (${id}, ${email})`;
  const role = (key: string, more = 'false, null') =>
    `insert into rolecall.roles (key, name, is_system, declared_in) values (${key}, 'x', ${more})`;
  const permission = (resource: string, action: string) =>
    `insert into rolecall.permissions (resource, action) values (${resource}, ${action})`;
  const identity = (issuer: string, subject: string, who = 'u.pk') =>
    `insert into rolecall.identities (user_pk, issuer, subject) select ${who}, ${issuer}, ${subject} from one u`;
  const include = (from: string, to: string, origin = `'api'`) =>
    `insert into rolecall.role_includes (role_pk, included_pk, origin) select ${from}, ${to}, ${origin} from one u`;
  const edge = (from: string, to: string, origin = `'api'`) =>
    `insert into rolecall.role_permissions (role_pk, permission_pk, origin) select ${from}, ${to}, ${origin} from one u`;
  const grant = (scope: string, more = 'null, null', who = 'u.pk', what = 'u.role') =>
    `insert into rolecall.user_roles (scope, starts_at, expires_at, user_pk, role_pk)
      select ${scope}, ${more}, ${who}, ${what} from one u`;
  const exception = (
    scope: string,
    effect = `'deny'`,
    more = 'null, null',
    who = 'u.pk',
    what = 'u.permission',
  ) =>
    `insert into rolecall.user_permissions (scope, effect, starts_at, expires_at, user_pk, permission_pk)
      select ${scope}, ${effect}, ${more}, ${who}, ${what} from one u`;
  const key = (id: string, hash: string, expiry = 'null::timestamptz', who = 'u.pk', scope = `''`) =>
    `insert into rolecall.api_keys (id, user_pk, name, secret_hash, expires_at, scope)
      select ${id}, ${who}, 'x', ${hash}, ${expiry}, ${scope} from one u`;
  const layer = (id: string, hash: string, position = '77') =>
    `insert into rolecall.matrix_layers (id, position, content_hash, content, applied_at_revision)
      values (${id}, ${position}, ${hash}, '{}', 1)`;
  const entry = (kind: string, actor: string, hmac: string, number = '1') =>
    `insert into rolecall.journal (revision, number, time, kind, actor_kind, actor_pk, digests, hmac)
      values (999, ${number}, now(), 'x', ${kind}, ${actor}, '{}', ${hmac})`;
  const answer = (name: string) =>
    `insert into rolecall.idempotency (credential, key, fingerprint, answer) values ('c', ${name}, '', '{}')`;
  const step = (position: string, name: string, up: string, down: string) =>
    `insert into rolecall.migrations (position, name, hash, down_hash) values (${position}, ${name}, ${up}, ${down})`;
  const setting = (key: string, value = '1') =>
    `insert into rolecall.settings (key, value) values (${key}, '${value}')`;
  const mapping = (
    more: Partial<Record<'id' | 'issuer' | 'claim' | 'value' | 'role' | 'scope', string>> = {},
  ) => {
    const row = {
      id: `'a'`,
      issuer: `'i'`,
      claim: `'{c}'::text[]`,
      value: `'v'`,
      role: 'u.role',
      scope: `''`,
      ...more,
    };
    return `insert into rolecall.mappings (id, issuer, claim, value, role_pk, scope)
      select ${row.id}, ${row.issuer}, ${row.claim}, ${row.value}, ${row.role}, ${row.scope} from one u`;
  };
  const twice = (columns: string) => `${mapping()} union all select ${columns} from one u`;
  const met = (identity: string, what: string) =>
    `insert into rolecall.identity_mappings (identity_pk, mapping_pk) select ${identity}, ${what} from one u`;
  const bytes = (length: number) => `decode(repeat('00', ${length}), 'hex')`;
  const digest = `repeat('0', 64)`;
  const keyId = `'abcDEF123456'`;
  const later = `now() + interval '1 ms', now()`;
  const next = `now(), now() + interval '1 ms'`;
  const nothing = 'null::timestamptz, null::timestamptz';
  const none = 'u.pk + 1000000';

  const badNames = [
    `''`,
    `'A'`,
    `'1a'`,
    `'_a'`,
    `'a_'`,
    `'a__b'`,
    `'a b'`,
    `'a.b'`,
    `'ä'`,
    `E'a\\n'`,
    long(101),
  ];
  const badKeys = [...badNames, `'a-'`, `'-a'`, `'a--b'`, `'a_-b'`];
  const badOrigins = [`''`, `'API'`, `'a b'`, `'-a'`, `E'api\\n'`];
  const badScopes = [`'/'`, `'/a'`, `'a/'`, `'a//b'`, `'a b'`, `'ä'`, `'a*'`, `E'a\\n'`, long(256)];
  const badEmails = [`'A@x.y'`, `'a'`, `'@x'`, `'a@'`, `'a@b@c'`, `'a@x '`, `' a@x'`, `'а@x'`, `E'a@x\\n'`];
  const badHashes = [`repeat('0', 63)`, `repeat('0', 65)`, `repeat('A', 64)`, `''`];

  /** Each rule, and statements that break it and no other. */
  const illegal: Readonly<Record<string, readonly string[]>> = {
    users_id_length: [user(`''`), user(`repeat('😀', 256)`)],
    users_id_not_dots: [user(`'.'`), user(`'..'`)],
    users_id_key: [`${user(`'twin'`)}, ('twin', null)`],
    users_email_normalized: [...badEmails, `${long(251)} || '@x.y'`].map((email) =>
      user(`'somebody'`, email),
    ),
    users_email_key: [`${user(`'one'`, `'a@x'`)}, ('two', 'a@x')`],
    identities_issuer_length: [identity(`''`, `'s'`), identity(long(256), `'s'`)],
    identities_subject_length: [identity(`'i'`, `''`), identity(`'i'`, long(256))],
    identities_issuer_subject_key: [`${identity(`'i'`, `'s'`)} union all select u.pk, 'i', 's' from one u`],
    identities_user_pk_users_pk_fk: [identity(`'i'`, `'s'`, none)],
    roles_key_form: badKeys.map((name) => role(name)),
    roles_system_is_declared: [role(`'a'`, 'true, null')],
    roles_key_key: [`${role(`'a'`)}, ('a', 'x', false, null)`],
    permissions_resource_form: [...badNames, `'a-b'`].map((name) => permission(name, `'b'`)),
    permissions_action_form: [...badNames, `'a-b'`].map((name) => permission(`'b'`, name)),
    permissions_slug_key: [`${permission(`'a_b'`, `'c'`)}, ('a', 'b_c')`],
    role_includes_not_itself: [include('u.role', 'u.role')],
    role_includes_origin_form: badOrigins.map((origin) => include('u.role', 'u.other_role', origin)),
    role_includes_pkey: [
      `${include('u.role', 'u.other_role')} union all select u.role, u.other_role, 'api' from one u`,
    ],
    role_includes_role_pk_roles_pk_fk: [include(none, 'u.role')],
    role_includes_included_pk_roles_pk_fk: [include('u.role', none)],
    role_permissions_origin_form: badOrigins.map((origin) => edge('u.role', 'u.permission', origin)),
    role_permissions_pkey: [
      `${edge('u.role', 'u.permission')} union all select u.role, u.permission, 'api' from one u`,
    ],
    role_permissions_role_pk_roles_pk_fk: [edge(none, 'u.permission')],
    role_permissions_permission_pk_permissions_pk_fk: [edge('u.role', none)],
    user_roles_scope_form: badScopes.map((scope) => grant(scope)),
    user_roles_starts_before_expiry: [grant(`''`, later), grant(`''`, 'now(), now()')],
    user_roles_user_role_scope_origin_key: [
      `${grant(`'a'`, nothing)} union all select 'a', null::timestamptz, null, u.pk, u.role from one u`,
    ],
    user_roles_user_pk_users_pk_fk: [grant(`''`, 'null, null', none)],
    user_roles_role_pk_roles_pk_fk: [grant(`''`, 'null, null', 'u.pk', none)],
    user_permissions_scope_form: badScopes.map((scope) => exception(scope)),
    user_permissions_effect_known: [exception(`''`, `'maybe'`), exception(`''`, `'Deny'`)],
    user_permissions_starts_before_expiry: [
      exception(`''`, `'deny'`, later),
      exception(`''`, `'deny'`, 'now(), now()'),
    ],
    user_permissions_user_permission_scope_key: [
      `${exception(`'a'`, `'deny'`, nothing)} union all select 'a', 'allow', null, null, u.pk, u.permission from one u`,
    ],
    user_permissions_user_pk_users_pk_fk: [exception(`''`, `'deny'`, 'null, null', none)],
    user_permissions_permission_pk_permissions_pk_fk: [exception(`''`, `'deny'`, 'null, null', 'u.pk', none)],
    api_keys_id_form: [`''`, long(11), long(13), `'abcDEF12345-'`, `'abcDEF12345ä'`].map((id) =>
      key(id, bytes(32)),
    ),
    api_keys_secret_hash_length: [0, 31, 33].map((length) => key(keyId, bytes(length))),
    api_keys_scope_form: badScopes.map((scope) => key(keyId, bytes(32), 'null::timestamptz', 'u.pk', scope)),
    api_keys_created_before_expiry: [
      key(keyId, bytes(32), 'now()'),
      key(keyId, bytes(32), `now() - interval '1 s'`),
    ],
    api_keys_id_key: [`${key(keyId, bytes(32))}, generate_series(1, 2)`],
    api_keys_user_pk_users_pk_fk: [key(keyId, bytes(32), 'null::timestamptz', none)],
    mappings_issuer_form: [`''`, `'a b'`, `'ä'`, long(256)].map((issuer) => mapping({ issuer })),
    mappings_claim_length: [`'{}'`, `'{""}'`, `'{a,b,c,d,e,f}'`, `array[${long(101)}, ${long(100)}]`].map(
      (claim) => mapping({ claim: `${claim}::text[]` }),
    ),
    mappings_value_length: [`''`, long(201)].map((value) => mapping({ value })),
    mappings_scope_form: badScopes.map((scope) => mapping({ scope })),
    mappings_id_key: [twice(`'a', 'other', '{c}', 'v', u.role, ''`)],
    mappings_rule_key: [twice(`'b', 'i', '{c}', 'v', u.role, ''`)],
    mappings_role_pk_roles_pk_fk: [mapping({ role: none })],
    identity_mappings_identity_pk_identities_pk_fk: [met(none, 'u.mapping')],
    identity_mappings_mapping_pk_mappings_pk_fk: [met('u.identity', none)],
    identity_mappings_pkey: [
      `${met('u.identity', 'u.mapping')} union all select u.identity, u.mapping from one u`,
    ],
    matrix_layers_id_form: [...badKeys.filter((bad) => bad !== long(101)), `'api'`].map((id) =>
      layer(id, digest),
    ),
    matrix_layers_content_hash_form: badHashes.map((hash) => layer(`'a'`, hash)),
    matrix_layers_pkey: [`${layer(`'a'`, digest)}, ('a', 78, ${digest}, '{}', 1)`],
    matrix_layers_position_key: [`${layer(`'a'`, digest)}, ('b', 77, ${digest}, '{}', 1)`],
    epochs_id_form: [`repeat('0', 11)`, `repeat('0', 13)`, `repeat('A', 12)`].map(
      (id) => `insert into rolecall.epochs values (${id}, 0, '')`,
    ),
    epochs_pkey: ['insert into rolecall.epochs select id, 1, incarnation from rolecall.epochs'],
    revision_only_row: [
      `insert into rolecall.revision select false, 1, 1, epoch, now(), '' from rolecall.revision`,
    ],
    revision_pkey: [
      `insert into rolecall.revision select true, 1, 1, epoch, now(), '' from rolecall.revision`,
    ],
    revision_catalogue_not_ahead: [
      'update rolecall.revision set catalogue_value = value + 1',
      'update rolecall.revision set catalogue_value = -1',
    ],
    revision_epoch_epochs_id_fk: [
      `update rolecall.revision set epoch = '000000000000'`,
      'delete from rolecall.epochs',
    ],
    journal_actor_known: [entry(`'user'`, 'null', bytes(32)), entry(`'operator'`, '1', bytes(32))],
    journal_actor_kind_known: [entry(`'robot'`, 'null', bytes(32))],
    journal_hmac_length: [0, 31, 33].map((length) => entry(`'operator'`, 'null', bytes(length))),
    journal_pkey: [`insert into rolecall.journal select * from rolecall.journal`],
    personal_journal_fkey: [
      `insert into rolecall.personal values (999, 1, 'id', null, '', 'x')`,
      'delete from rolecall.journal where (revision, number) in (select revision, number from rolecall.personal)',
    ],
    personal_pkey: ['insert into rolecall.personal select * from rolecall.personal'],
    idempotency_key_length: [answer(`''`), answer(long(129))],
    idempotency_pkey: [`${answer(`'a'`)}, ('c', 'a', '', '{}')`],
    settings_key_form: [...badNames, `'a-b'`].map((key) => setting(key)),
    settings_value_is_set: [setting(`'a'`, 'null')],
    settings_pkey: [`${setting(`'a'`)}, ('a', '2')`],
    migrations_hash_form: badHashes.map((hash) => step('77', `'0077_a'`, hash, digest)),
    migrations_down_hash_form: badHashes.map((hash) => step('77', `'0077_a'`, digest, hash)),
    migrations_name_key: [`${step('77', `'a'`, digest, digest)}, (78, 'a', ${digest}, ${digest})`],
    migrations_pkey: [`${step('77', `'a'`, digest, digest)}, (77, 'b', ${digest}, ${digest})`],
  };

  /** What the same rules must let through: the last value before each refusal. */
  const legal = [
    user(name255, `${long(250)} || '@x.y'`),
    user(`'...'`),
    `${user(`'Ada'`)}, ('ada', null)`,
    identity(long(255), name255),
    role(long(100)),
    role(`'a-b_c9'`, `true, 'baseline'`),
    permission(long(100), long(100)),
    permission(`'a9_b'`, `'c'`),
    `${include('u.role', 'u.other_role')} union all select u.role, u.other_role, 'baseline' from one u`,
    grant(`''`, next),
    grant(long(255)),
    grant(`'Org/a.c-m_e:1@~'`, 'now(), null'),
    exception(`''`, `'allow'`, next),
    key(keyId, bytes(32), `now() + interval '1 ms'`),
    layer(`'api-2'`, digest),
    mapping({
      value: `repeat('😀', 200)`,
      claim: `array[repeat('😀', 200)]`,
      scope: long(255),
      issuer: long(255),
    }),
    met('u.identity', 'u.mapping'),
    entry(`'user'`, '1', bytes(32)),
    answer(long(128)),
    setting(long(100), '[null]'),
  ];

  beforeAll(async () => {
    await sql.unsafe(`
      insert into rolecall.users (id) values ('keeper');
      insert into rolecall.roles (key, name) values ('keeper-one', ''), ('keeper-two', '');
      insert into rolecall.permissions (resource, action) values ('keeper', 'keep');
      insert into rolecall.journal (revision, number, time, kind, actor_kind, digests, hmac)
        values (998, 1, now(), 'x', 'operator', '{}', ${bytes(32)});
      insert into rolecall.personal values (998, 1, 'id', null, '', 'x');
      insert into rolecall.identities (user_pk, issuer, subject) select pk, 'keeper', 'k' from rolecall.users where id = 'keeper';
      insert into rolecall.mappings (id, issuer, claim, value, role_pk) select 'keeper', 'keeper', '{k}', 'k', pk
        from rolecall.roles where key = 'keeper-one';
      create temp view one as select (select pk from rolecall.users where id = 'keeper') as pk,
        (select pk from rolecall.roles where key = 'keeper-one') as role,
        (select pk from rolecall.roles where key = 'keeper-two') as other_role,
        (select pk from rolecall.identities where issuer = 'keeper') as identity,
        (select pk from rolecall.mappings where id = 'keeper') as mapping,
        (select pk from rolecall.permissions where slug = 'keeper_keep') as permission`);
  });

  /** The name of the rule that refuses the statement, or how many rows it would have changed. */
  async function attempt(statement: string): Promise<string | number> {
    let changed = 0;
    const undone = new Error('undone');
    try {
      await sql.begin(async (transaction) => {
        changed = (await transaction.unsafe(statement)).count;
        throw undone;
      });
      return changed;
    } catch (error) {
      if (error === undone) return changed;
      if (error instanceof postgres.PostgresError && error.constraint_name) return error.constraint_name;
      throw error;
    }
  }

  test.each(Object.entries(illegal))('refuses what %s forbids (D-03)', async (rule, statements) => {
    for (const statement of statements) expect(await attempt(statement), statement).toBe(rule);
  });

  test('accepts the last value before each refusal (D-03)', async () => {
    for (const statement of legal) expect(await attempt(statement), statement).toBeGreaterThan(0);
  });

  test('is tried out in every rule that it has, but for keys it makes itself', async () => {
    const made = [
      'users',
      'identities',
      'roles',
      'permissions',
      'user_roles',
      'user_permissions',
      'api_keys',
      'denials',
      'mappings',
    ];
    const live = await lines(sql`select conname as line from pg_constraint
      where connamespace = 'rolecall'::regnamespace and contype <> 'n'`);
    expect(live).toEqual([...Object.keys(illegal), ...made.map((table) => `${table}_pkey`)].sort());
  });

  test('makes the internal keys itself: nobody can choose one', async () => {
    for (const { name, columns } of tables)
      for (const column of columns.filter(({ generatedIdentity }) => generatedIdentity))
        await expect(
          sql.unsafe(`insert into rolecall.${name} (${column.name}) values (1)`),
        ).rejects.toMatchObject({ code: '428C9' });
  });

  test('deletes nothing by itself when something that others refer to goes', async () => {
    const actions = await lines(sql`select conname as line from pg_constraint
      where connamespace = 'rolecall'::regnamespace and contype = 'f' and confdeltype <> 'r'`);
    expect(actions).toEqual([]);
  });
});
