import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
  await service.as().post('/roles').send({ key: 'newcomer', name: 'Newcomer' }).expect(201);
  await service.as().put('/roles/newcomer/permissions/orders_view_order').expect(200);
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

async function setDefaultRole(value: string | null, key?: string, query = '') {
  const { headers } = await service.as().get('/settings/default_role').expect(200);
  const response = await service
    .as(key)
    .patch(`/settings/default_role${query}`)
    .set('if-match', String(headers['etag']))
    .send({ value });
  expectContract(response, 'PATCH', '/settings/{setting}');
  return response;
}

async function newUser(id: string, key?: string, query = '') {
  const response = await service.as(key).post(`/users${query}`).send({ id });
  expectContract(response, 'POST', '/users');
  return response;
}

/** The key of somebody who has these of the service's own permissions, and what else a role gives. */
async function keyWith(user: string, permissions: readonly string[]): Promise<string> {
  const role = `role-of-${user}`;
  await service.as().post('/roles').send({ key: role, name: role }).expect(201);
  for (const permission of permissions)
    await service.as().put(`/roles/${role}/permissions/${permission}`).expect(200);
  return service.keyFor(user, role);
}

test('a new user has no role while no default is set', async () => {
  expect((await newUser('early')).body).toMatchObject({ changed: true, roles: [] });
  expect((await service.as().get('/users/early/permissions')).body.permissions).toEqual([]);
});

test('a new user gets the default role, by a grant that is recorded like any other', async () => {
  await setDefaultRole('newcomer');
  const made = await newUser('nora');
  expect(made.body).toMatchObject({ user: { id: 'nora' }, roles: ['newcomer'] });
  const { body } = await service.as().get('/users/nora/permissions').expect(200);
  expect(body).toMatchObject({ permissions: ['orders_view_order'], roles: ['newcomer'] });
  const [grant] = (await service.as().get('/users/nora/roles').expect(200)).body.data;
  expect(grant).toMatchObject({
    role: 'newcomer',
    scope: '',
    origin: 'api',
    grantedBy: 'root',
    expiresAt: null,
  });
  const entries = await sql`
    select number, kind, after -> 'role' as role from rolecall.journal
    where revision = ${made.body.revision.split('-')[1]} order by number`;
  expect(entries.map(({ kind, role }) => [kind, role])).toEqual([
    ['user_created', null],
    ['grant_set', 'newcomer'],
  ]);
  await service.as().delete('/users/nora/roles/newcomer').expect(200);
  expect((await service.as().get('/users/nora/permissions')).body.permissions).toEqual([]);
});

test('whoever may make users need not hold what the default role gives: that was guarded when it was set', async () => {
  await setDefaultRole('newcomer');
  const key = await keyWith('registrar', ['rolecall_manage_users']);
  expect((await newUser('by-registrar', key)).body.roles).toEqual(['newcomer']);
});

test('a dry run of making a user says which role they would get', async () => {
  await setDefaultRole('newcomer');
  expect((await newUser('tried', undefined, '?dryRun=true')).body).toMatchObject({
    dryRun: true,
    roles: ['newcomer'],
  });
  await service.as().get('/users/tried').expect(404);
});

test('setting the default role is giving it: who does not hold it may not, nor take it back', async () => {
  await setDefaultRole(null);
  const weak = await keyWith('setter', ['rolecall_manage_settings', 'rolecall_read_settings']);
  for (const role of ['newcomer', 'admin'])
    expect((await setDefaultRole(role, weak)).body).toMatchObject({
      status: 403,
      code: 'exceeds_own_access',
    });
  expect((await setDefaultRole('newcomer', weak, '?dryRun=true')).status).toBe(403);
  await setDefaultRole('newcomer');
  expect((await setDefaultRole(null, weak)).body).toMatchObject({ code: 'exceeds_own_access' });
  expect((await service.as().get('/settings/default_role')).body.value).toBe('newcomer');

  const strong = await keyWith('holder', ['rolecall_manage_settings', 'orders_view_order']);
  expect((await setDefaultRole(null, strong)).status).toBe(200);
  expect((await setDefaultRole('newcomer', strong)).status).toBe(200);
});

test('the default role must be there, and stays as long as it is the default', async () => {
  expect((await setDefaultRole('newcomr')).body).toMatchObject({
    status: 404,
    code: 'unknown_role',
    didYouMean: ['newcomer'],
  });
  await setDefaultRole('newcomer');
  const refused = await service.as().delete('/roles/newcomer');
  expectContract(refused, 'DELETE', '/roles/{role}');
  expect(refused.body).toMatchObject({ status: 409, code: 'role_in_use' });
  await service.as().post('/roles').send({ key: 'passing', name: 'Passing' }).expect(201);
  await setDefaultRole('passing');
  await service.as().delete('/roles/passing').expect(409);
  await setDefaultRole(null);
  await service.as().delete('/roles/passing').expect(200);
});
