import postgres from 'postgres';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contentsOf } from '../support/contents.ts';
import { expectContract, operations } from '../support/contract.ts';
import { doors as triedDoors } from '../support/doors.ts';
import { filesWithLayer } from '../support/matrix-files.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
  await watchTables();
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

type Agent = ReturnType<TestService['as']>;

const contents = () => contentsOf(sql);

/** Has every table tell which rows of it were written, beside the schema of the service. */
async function watchTables(): Promise<void> {
  await sql`create table public.written (name text)`;
  await sql`create function public.note_written() returns trigger language plpgsql as
    $$ begin insert into public.written values (tg_table_name); return null; end $$`;
  for (const name of Object.keys(await contents()))
    await sql`create trigger written after insert or update or delete on ${sql(`rolecall.${name}`)}
      for each row execute function public.note_written()`;
}

async function tablesWritten(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`select distinct name from public.written`;
  return rows.map(({ name }) => name);
}

/** Written by whatever changes anything: what decides is in all others. */
const bookkeeping = ['journal', 'personal', 'revision', 'idempotency'];
const doors = new Set<string>();

/** Who did what a revision records, by which request, and whether it is the one after all others. */
async function recordedAt(revision: string) {
  const [row] = await sql`
    select array_agg(distinct users.id) as actors, array_agg(distinct request_id) as requests,
      min(revision) = 1 + coalesce((select max(revision) from rolecall.journal where revision < ${revision.split('-')[1] ?? ''}), 0)
        as next
    from rolecall.journal join rolecall.users on users.pk = actor_pk
    where revision = ${revision.split('-')[1] ?? ''}`;
  return row;
}

interface Trial {
  /** Makes what the write needs; no trial needs another. */
  readonly before?: (as: () => Agent) => Promise<unknown>;
  /** The write, which would change something, with this at the end of its address. */
  readonly write: (as: Agent, query: string) => PromiseLike<Response>;
}

const user = (id: string) => (as: () => Agent) => as().post('/users').send({ id }).expect(201);
const role = (key: string) => (as: () => Agent) => as().post('/roles').send({ key, name: key }).expect(201);
const permission = (name: string) => (as: () => Agent) =>
  as().post('/permissions').send({ permission: name }).expect(201);

const mapping = (value: string) => ({ issuer: 'https://idp', claim: ['groups'], value, role: 'loader' });

/** One write of each operation that writes, by its name. */
const trials: Readonly<Record<string, Trial>> = {
  createUser: { write: (as, query) => as.post(`/users${query}`).send({ id: 'u1', email: 'u1@example.com' }) },
  updateUser: {
    before: user('u2'),
    write: (as, query) => as.patch(`/users/u2${query}`).send({ active: false }),
  },
  eraseUser: {
    before: async (as) => {
      await user('u9')(as);
      await as().put('/users/u9/roles/loader').send({ reason: 'x' }).expect(201);
    },
    write: (as, query) => as.post(`/users/u9/erase${query}`),
  },
  deleteUser: {
    before: async (as) => {
      await user('u3')(as);
      await as().put('/users/u3/roles/loader').expect(201);
      await as().put('/users/u3/permissions/orders_view_prices').send({ effect: 'deny' }).expect(201);
      await as().post('/keys').send({ user: 'u3', name: 'x' }).expect(201);
    },
    write: (as, query) => as.delete(`/users/u3${query}`),
  },
  linkIdentity: {
    before: user('u4'),
    write: (as, query) => as.put(`/users/u4/identities${query}`).send({ issuer: 'idp', subject: 'u4' }),
  },
  unlinkIdentity: {
    before: async (as) => {
      await user('u5')(as);
      await as().put('/users/u5/identities').send({ issuer: 'idp', subject: 'u5' }).expect(200);
    },
    write: (as, query) => as.delete(`/users/u5/identities${query}`).send({ issuer: 'idp', subject: 'u5' }),
  },
  grantRole: {
    before: user('u6'),
    write: (as, query) => as.put(`/users/u6/roles/loader${query}`).send({ reason: 'tried' }),
  },
  replaceUserRoles: {
    before: async (as) => {
      await user('u12')(as);
      await as().put('/users/u12/roles/loader?scope=org').expect(201);
    },
    write: async (as, query) => {
      const { headers } = await service.as().get('/users/u12/roles?scope=org').expect(200);
      return as
        .put(`/users/u12/roles${query}&scope=org`)
        .set('if-match', String(headers['etag']))
        .send({ grants: [{ role: 'viewer' }] });
    },
  },
  changeGrants: {
    before: user('u13'),
    write: (as, query) =>
      as.post(`/grants/batch${query}`).send({
        mode: 'atomic',
        changes: [{ op: 'grant', user: 'u13', role: 'loader' }],
      }),
  },
  revokeRole: {
    before: async (as) => {
      await user('u7')(as);
      await as().put('/users/u7/roles/loader').expect(201);
    },
    write: (as, query) => as.delete(`/users/u7/roles/loader${query}`),
  },
  setException: {
    before: user('u8'),
    write: (as, query) => as.put(`/users/u8/permissions/orders_view_order${query}`).send({ effect: 'allow' }),
  },
  endException: {
    before: async (as) => {
      await user('u9')(as);
      await as().put('/users/u9/permissions/orders_view_order').send({ effect: 'deny' }).expect(201);
    },
    write: (as, query) => as.delete(`/users/u9/permissions/orders_view_order${query}`),
  },
  createRole: { write: (as, query) => as.post(`/roles${query}`).send({ key: 'r1', name: 'One' }) },
  updateRole: {
    before: role('r2'),
    write: (as, query) => as.patch(`/roles/r2${query}`).send({ name: 'Other' }),
  },
  deleteRole: {
    before: async (as) => {
      await role('r3')(as);
      await user('u10')(as);
      await as().put('/roles/r3/permissions/orders_view_order').expect(200);
      await as().put('/users/u10/roles/r3').expect(201);
    },
    write: (as, query) => as.delete(`/roles/r3${query}`),
  },
  replaceRolePermissions: {
    before: role('r4'),
    write: async (as, query) => {
      const { headers } = await service.as().get('/roles/r4/permissions').expect(200);
      const body = { permissions: ['orders.view_order'] };
      return as.put(`/roles/r4/permissions${query}`).set('if-match', String(headers['etag'])).send(body);
    },
  },
  giveRolePermission: {
    before: role('r5'),
    write: (as, query) => as.put(`/roles/r5/permissions/orders_view_order${query}`),
  },
  withholdRolePermission: {
    write: (as, query) => as.delete(`/roles/loader/permissions/orders_load_order${query}`),
  },
  includeRole: { before: role('r6'), write: (as, query) => as.put(`/roles/r6/includes/loader${query}`) },
  excludeRole: { write: (as, query) => as.delete(`/roles/manager/includes/viewer${query}`) },
  registerPermission: {
    write: (as, query) => as.post(`/permissions${query}`).send({ permission: 'dry.one' }),
  },
  registerPermissions: {
    write: (as, query) =>
      as.post(`/permissions/batch${query}`).send({ permissions: [{ permission: 'dry.many' }] }),
  },
  describePermission: {
    before: permission('dry.described'),
    write: (as, query) => as.patch(`/permissions/dry.described${query}`).send({ description: 'New' }),
  },
  retirePermission: {
    before: permission('dry.retired'),
    write: (as, query) => as.delete(`/permissions/dry.retired${query}`),
  },
  changeSetting: {
    write: async (as, query) => {
      const { headers } = await service.as().get('/settings/lease_ms').expect(200);
      return as
        .patch(`/settings/lease_ms${query}`)
        .set('if-match', String(headers['etag']))
        .send({ value: 7 });
    },
  },
  createMapping: { write: (as, query) => as.post(`/mappings${query}`).send(mapping('created')) },
  deleteMapping: {
    before: (as) => as().post('/mappings').send(mapping('deleted')).expect(201),
    write: async (as, query) => {
      const { body } = await service.as().get('/mappings').expect(200);
      const { id } = body.data.find(({ value }: { value: string }) => value === 'deleted');
      return as.delete(`/mappings/${id}${query}`);
    },
  },
  applyMatrix: {
    write: (as, query) => as.post(`/matrix/apply${query}`).send({ files: filesWithLayer }),
  },
  rotateKey: {
    before: async (as) => {
      await user('u14')(as);
      await as().post('/keys').send({ user: 'u14', name: 'x' }).expect(201);
    },
    write: async (as, query) => {
      const { body } = await service.as().get('/keys?user=u14').expect(200);
      return as.post(`/keys/${body.data[0].id}/rotate${query}`).send({});
    },
  },
  createKey: { write: (as, query) => as.post(`/keys${query}`).send({ user: 'root', name: 'dry' }) },
  revokeKey: {
    before: async (as) => {
      await user('u11')(as);
      await as().post('/keys').send({ user: 'u11', name: 'x' }).expect(201);
    },
    write: async (as, query) => {
      const { body } = await service.as().get('/keys?user=u11').expect(200);
      return as.delete(`/keys/${body.data[0].id}${query}`);
    },
  },
};

const writing = operations.filter(
  ({ method, tags, operationId }) =>
    method !== 'GET' && !tags?.includes('Checks') && operationId !== 'planMatrix',
);

/** An answer without what no two answers have in common: times, made-up ids and secrets, the revision. */
function comparable({ status, body }: Response): unknown {
  const { revision: _, dryRun: __, key: ___, impact: ____, ...rest } = body;
  const text = JSON.stringify(rest)
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'a time')
    .replaceAll(/"id":"[0-9A-Za-z]{12}"/g, '"id":"of a key"')
    .replaceAll(/"id":"[0-9a-f-]{36}"/g, '"id":"made up"');
  return { status, body: JSON.parse(text) };
}

test('every operation that writes is tried here', () => {
  expect(Object.keys(trials).sort()).toEqual(writing.map(({ operationId }) => operationId).sort());
});

describe.for(Object.entries(trials))('%s', ([name, { before, write }]) => {
  test('with dryRun keeps nothing, says so, and foretells what the write then does and records', async () => {
    await before?.(() => service.as());
    const standing = await contents();
    const { revision } = (await service.as().get('/me/permissions').expect(200)).body;

    const tried = await write(service.as(), '?dryRun=true');
    const { method, path } = writing.find(({ operationId }) => operationId === name) ?? {};
    expectContract(tried, String(method), String(path));
    expect(tried.body).toMatchObject({ dryRun: true, changed: true, revision });
    expect(await contents()).toEqual(standing);

    await sql`truncate public.written`;
    const done = await write(service.as(), '?dryRun=false');
    if ((await tablesWritten()).some((table) => !bookkeeping.includes(table))) doors.add(name);
    expect(done.body).toMatchObject({ changed: true });
    expect(done.body).not.toHaveProperty('dryRun');
    expect(done.body.revision).not.toBe(revision);
    expect(comparable(done)).toEqual(comparable(tried));
    expect(await contents()).not.toEqual(standing);
    expect(await recordedAt(done.body.revision)).toEqual({
      actors: ['root'],
      requests: [done.headers['x-request-id']],
      next: true,
    });
  });
});

test('every operation that writes what decides is a door that is tried, by what the tables tell (A-09)', () => {
  expect([...doors].sort()).toEqual(Object.keys(triedDoors).sort());
});

describe('a dry run', () => {
  test('is refused where the write would be, and keeps nothing then either', async () => {
    const key = await service.keyFor('limited');
    await service.as().put('/users/limited/roles/backend').expect(201);
    const standing = await contents();
    const refused = [
      await service.as().delete('/users/root/roles/admin?dryRun=true'),
      await service.as().post('/users?dryRun=true').send({ id: 'root' }),
      await service.as().put('/users/nobody-at-all/roles/loader?dryRun=true'),
      await service.as(key).put('/users/limited/roles/loader?dryRun=true'),
    ];
    expect(refused.map(({ body }) => body.code)).toEqual([
      'last_administrator',
      'user_exists',
      'unknown_user',
      'forbidden',
    ]);
    expect(await contents()).toEqual(standing);
  });

  test('of making a key shows none: it would open nothing', async () => {
    const tried = await service.as().post('/keys?dryRun=true').send({ user: 'root', name: 'x' }).expect(201);
    expect(tried.body).toMatchObject({ dryRun: true, key: null });
  });

  test('names whom it would concern to whoever may see users there, and tells others how many (A-06)', async () => {
    await role('seen')(() => service.as());
    for (const [id, scope] of [
      ['here', 'org/acme'],
      ['there', 'org/rival'],
    ] as const) {
      await user(id)(() => service.as());
      await service.as().put(`/users/${id}/roles/seen?scope=${scope}`).expect(201);
    }
    const keyOf = async (id: string, ...places: string[]) => {
      const key = await service.keyFor(id);
      await service.as().put(`/roles/${id}/permissions/rolecall_manage_roles`).expect(200);
      await service.as().put(`/roles/${id}/permissions/orders_view_order`).expect(200);
      for (const place of [id, ...places]) await service.as().put(`/users/${id}/roles/${place}`).expect(201);
      return key;
    };
    for (const key of ['blind', 'local', 'reader']) await role(key)(() => service.as());
    await service.as().put('/roles/reader/permissions/rolecall_read_users').expect(200);
    const impactFor = async (key?: string) => {
      const tried = await service
        .as(key)
        .put('/roles/seen/permissions/orders_view_order?dryRun=true')
        .expect(200);
      const { changes, ...counts } = tried.body.impact;
      return [counts.users, counts.usersLeftOut, changes.map((one: { user: string }) => one.user)];
    };
    expect(await impactFor()).toEqual([2, 0, ['here', 'there']]);
    expect(await impactFor(await keyOf('blind'))).toEqual([2, 2, []]);
    expect(await impactFor(await keyOf('local', 'reader?scope=org/acme'))).toEqual([2, 1, ['here']]);
  });

  test('of what changes nothing says that too', async () => {
    const tried = await service.as().put('/users/root/roles/admin?dryRun=true').send({}).expect(200);
    expect(tried.body).toMatchObject({ dryRun: true, changed: false });
  });

  test('is asked for by true or false and nothing else', async () => {
    for (const query of [
      'dryRun=1',
      'dryRun=',
      'dryRun',
      'dryRun=TRUE',
      'dryRun=true&dryRun=false',
      'dryrun=true',
    ])
      expect((await service.as().post(`/users?${query}`).send({ id: 'never' })).status, query).toBe(400);
    await service.as().get('/users/never').expect(404);
  });
});
