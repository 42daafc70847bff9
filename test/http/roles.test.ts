import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract, operations } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function create(body: object) {
  const response = await service.as().post('/roles').send(body);
  expectContract(response, 'POST', '/roles');
  return response;
}

async function read(key: string) {
  const response = await service.as().get(`/roles/${key}`);
  expectContract(response, 'GET', '/roles/{role}');
  return response;
}

async function change(key: string, body: object) {
  const response = await service.as().patch(`/roles/${key}`).send(body);
  expectContract(response, 'PATCH', '/roles/{role}');
  return response;
}

async function remove(key: string, query = '') {
  const response = await service.as().delete(`/roles/${key}${query}`);
  expectContract(response, 'DELETE', '/roles/{role}');
  return response;
}

describe('making a role', () => {
  test('answers with a role that gives nothing and belongs to no layer', async () => {
    const made = await create({ key: 'night-shift', name: 'Night shift', description: 'Works at night' });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      changed: true,
      role: {
        key: 'night-shift',
        name: 'Night shift',
        description: 'Works at night',
        isSystem: false,
        declaredIn: null,
      },
    });
    expect((await read('night-shift')).body).toEqual(made.body.role);
    const edges = await service.as().get('/roles/night-shift/permissions').expect(200);
    expect(edges.body).toMatchObject({ permissions: [], includes: [] });
  });

  test('of a key that is taken is refused, also by one the matrix declares', async () => {
    await create({ key: 'porter', name: 'Porter' });
    for (const key of ['porter', 'loader', 'admin'])
      expect((await create({ key, name: 'Another' })).body).toMatchObject({
        status: 409,
        code: 'role_exists',
      });
  });

  test.for(['constructor', 'tostring', 'me', 'new', 'a', 'a_b-c', 'orders_load_order', 'x'.repeat(100)])(
    'takes %s for a name like any other',
    async (key) => {
      expect((await create({ key, name: 'x' })).status).toBe(201);
      expect((await read(key)).body.key).toBe(key);
      expect((await remove(key)).body).toMatchObject({ role: key, grantsRemoved: 0 });
      expect((await read(key)).body.code).toBe('unknown_role');
    },
  );

  test('refuses what is no key, with the place', async () => {
    const keys = [
      '',
      'Admin',
      'аdmin',
      'a b',
      'a.b',
      'a/b',
      '1a',
      '_a',
      'a_',
      'a__b',
      '__proto__',
      'x'.repeat(101),
      5,
    ];
    for (const key of keys)
      expect((await create({ key, name: 'x' })).body, String(key)).toMatchObject({
        status: 400,
        errors: [{ pointer: '/key' }],
      });
  });

  test('counts the characters of names, and takes no control characters', async () => {
    expect((await create({ key: 'wide', name: '😀'.repeat(200) })).status).toBe(201);
    for (const name of ['', '😀'.repeat(201), 'tab\u0000', '\u001b[31mred', 'x\u0085', null, 5])
      expect((await create({ key: 'other', name })).status, String(name)).toBe(400);
  });

  test('cannot make a system role or a declared one', async () => {
    for (const member of ['isSystem', 'declaredIn', 'permissions', 'includes', 'is_system'])
      expect((await create({ key: 'sly', name: 'Sly', [member]: true })).body.errors).toMatchObject([
        { pointer: `/${member}`, code: 'unknown_member' },
      ]);
  });
});

describe('changing a role', () => {
  test('changes what it is called, not its key', async () => {
    await create({ key: 'clerk', name: 'Clerk' });
    const changed = await change('clerk', { name: 'Senior clerk' });
    expect(changed.body).toMatchObject({
      changed: true,
      role: { key: 'clerk', name: 'Senior clerk', description: '' },
    });
    expect((await change('clerk', { name: 'Senior clerk' })).body).toMatchObject({
      changed: false,
      revision: changed.body.revision,
    });
    expect((await change('clerk', {})).body.changed).toBe(false);
    expect((await change('clerk', { key: 'clerk2' })).body.errors).toMatchObject([{ pointer: '/key' }]);
  });

  test('is open for a role that the matrix declares and is no system role', async () => {
    const { body } = await change('accountant', { description: 'Counts' });
    expect(body.role).toMatchObject({ key: 'accountant', declaredIn: 'baseline', description: 'Counts' });
  });

  test('that is unknown is 404 with the nearest keys', async () => {
    const unknown = await change('acountant', { name: 'x' });
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_role', didYouMean: ['accountant'] });
  });
});

describe('a system role', () => {
  test.for(['admin', 'user', 'viewer'])(
    '%s is in the baseline and changes only through the matrix (3.3)',
    async (key) => {
      expect((await read(key)).body).toMatchObject({ key, isSystem: true });
      const refused = [
        await change(key, { name: 'Mine' }),
        await remove(key),
        await service.as().put(`/roles/${key}/permissions/orders_load_order`),
        await service.as().delete(`/roles/${key}/permissions/orders_view_order`),
        await service.as().put(`/roles/${key}/permissions`).set('if-match', '"x"').send({ permissions: [] }),
        await service.as().put(`/roles/${key}/includes/loader`),
        await service.as().delete(`/roles/${key}/includes/user`),
      ];
      for (const { status, body } of refused)
        expect({ status, code: body.code }).toEqual({ status: 409, code: 'managed_by_matrix' });
      const changing = operations.filter(
        ({ method, path }) => method !== 'GET' && path.startsWith('/roles/'),
      );
      expect(refused).toHaveLength(changing.length);
    },
  );
});

describe('deleting a role', () => {
  test('is refused for every role that the matrix declares, naming the layer', async () => {
    const refused = await remove('loader');
    expect(refused.body).toMatchObject({ status: 409, code: 'managed_by_matrix' });
    expect(refused.body.detail).toContain('baseline');
  });

  test('tells before how many grants go with it, then ends and records each of them and leaves no orphan (3.5)', async () => {
    await create({ key: 'temp', name: 'Temp' });
    await create({ key: 'boss', name: 'Boss' });
    await service.as().put('/roles/temp/permissions/orders_view_prices').expect(200);
    await service.as().put('/roles/temp/includes/loader').expect(200);
    await service.as().put('/roles/boss/includes/temp').expect(200);
    const holders = Array.from({ length: 50 }, (_, index) => `temp-${index}`);
    for (const id of holders) {
      await service.as().post('/users').send({ id }).expect(201);
      await service.as().put(`/users/${id}/roles/temp`).expect(201);
    }
    const sql = postgres(service.database.url, { max: 1 });
    const [role] = await sql<{ pk: string }[]>`select pk from rolecall.roles where key = 'temp'`;
    const pk = role?.pk ?? '';
    const previewed = await remove('temp', '?dryRun=true');
    expect(previewed.body).toMatchObject({ dryRun: true, changed: true, grantsRemoved: 50 });
    expect((await service.as().get('/roles/temp/users?limit=200')).body.data).toHaveLength(50);

    const removed = await remove('temp');
    expect(removed.body).toMatchObject({ role: 'temp', grantsRemoved: 50, changed: true });
    expect(removed.body).not.toHaveProperty('dryRun');
    const recorded = await sql`
      select kind, count(*)::int as count, count(distinct user_pk)::int as users, min(id) as actor from rolecall.journal
      join rolecall.users on users.pk = actor_pk
      where revision = ${removed.body.revision.split('-')[1]} group by kind order by kind`;
    expect(recorded).toEqual([
      { kind: 'edge_removed', count: 1, users: 0, actor: 'root' },
      { kind: 'grant_removed', count: 50, users: 50, actor: 'root' },
      { kind: 'include_removed', count: 2, users: 0, actor: 'root' },
      { kind: 'role_deleted', count: 1, users: 0, actor: 'root' },
    ]);
    const orphans = await sql`
      select 1 from rolecall.user_roles where role_pk = ${pk}
      union all select 1 from rolecall.role_permissions where role_pk = ${pk}
      union all select 1 from rolecall.role_includes where ${pk} in (role_pk, included_pk)`;
    expect(orphans).toEqual([]);
    await sql.end();
    expect((await service.as().get('/users/temp-7/permissions')).body).toMatchObject({
      permissions: [],
      roles: [],
    });
    expect((await service.as().get('/roles/boss/permissions')).body.includes).toEqual([]);
    expect((await remove('temp')).body.code).toBe('unknown_role');
    await create({ key: 'temp', name: 'Temp again' });
    expect((await service.as().get('/roles/temp/users')).body.data).toEqual([]);
    expect((await service.as().get('/roles/temp/permissions')).body).toMatchObject({
      permissions: [],
      includes: [],
    });
  });
});

describe('the list', () => {
  test.for([1, 2, 200])('has every role once, in the order of the keys, by pages of %i', async (limit) => {
    const keys: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await service
        .as()
        .get('/roles')
        .query({ limit, ...(after ? { after } : {}) });
      expectContract(page, 'GET', '/roles');
      keys.push(...page.body.data.map(({ key }: { key: string }) => key));
      after = page.body.nextCursor;
    }
    expect(keys).toEqual([...new Set(keys)].sort());
    expect(keys).toEqual(
      expect.arrayContaining(['accountant', 'admin', 'backend', 'loader', 'manager', 'viewer']),
    );
  });
});
