import type { Readable } from 'node:stream';
import type { Response } from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectContract, operations } from '../support/contract.ts';
import { filesWithLayer } from '../support/matrix-files.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { generateOpenApi, operationsOf } from './openapi-document.ts';

type Agent = ReturnType<TestService['as']>;

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

let made = 0;

async function newUser(as: Agent): Promise<string> {
  made += 1;
  const id = `user-${made}`;
  await as
    .post('/users')
    .send({ id, email: `${id}@example.com` })
    .expect(201);
  return id;
}

async function newRole(as: Agent): Promise<string> {
  made += 1;
  const key = `role-${made}`;
  await as
    .post('/roles')
    .send({ key, name: `Role ${made}` })
    .expect(201);
  return key;
}

async function newPermission(as: Agent): Promise<string> {
  made += 1;
  const permission = `invoices.approve_${made}`;
  return (await as.post('/permissions').send({ permission }).expect(201)).body.permission.permission;
}

/** Of an answer that does not end, what came first. */
const firstPart: Parameters<ReturnType<Agent['get']>['parse']>[0] = (response, done) => {
  (response as never as Readable).once('data', (part: Buffer) => {
    done(null, part.toString());
    (response as never as Readable).destroy();
  });
};

const identity = { issuer: 'https://login.example.com/', subject: 'auth0|5f7c8ec7' };
const mapping = { issuer: identity.issuer, claim: ['groups'], value: 'warehouse', role: 'loader' };
const question = { user: 'root', permission: 'orders.view_order' };

/** One answer of success from each operation, by its name. Where it can be, the answer is not an empty one. */
const exercises: Readonly<Record<string, (as: Agent) => Promise<Response>>> = {
  authorize: async (as) => as.post('/authorize').send(question),
  authorizeBatch: async (as) =>
    as.post('/authorize/batch').send({ checks: [question, { ...question, user: 'x' }] }),
  getUserPermissions: async (as) => {
    const user = await newUser(as);
    await as.put(`/users/${user}/roles/loader`).send({ expiresAt: '2099-01-01T00:00:00Z' }).expect(201);
    return as.get(`/users/${user}/permissions`);
  },
  getMyPermissions: async (as) => as.get('/me/permissions'),
  getUserScopes: async (as) => as.get('/users/root/scopes?permission=orders.view_order'),
  getMyScopes: async (as) => as.get('/me/scopes'),
  listenToEvents: async (as) => as.get('/events').buffer(true).parse(firstPart),
  explainDecision: async (as) => {
    const user = await newUser(as);
    await as.put(`/users/${user}/roles/manager`).send({ expiresAt: '2099-01-01T00:00:00Z' }).expect(201);
    await as.put(`/users/${user}/permissions/orders_view_order`).send({ effect: 'deny' }).expect(201);
    return as.get(`/users/${user}/explain?permission=orders.view_order`);
  },
  listPermissionUsers: async (as) => as.get('/permissions/rolecall_check/users'),
  listUserRoles: async (as) => as.get('/users/root/roles'),
  grantRole: async (as) =>
    as
      .put(`/users/${await newUser(as)}/roles/loader`)
      .send({ expiresAt: '2099-01-01T00:00:00Z', reason: 'try' }),
  replaceUserRoles: async (as) => {
    const user = await newUser(as);
    const { headers } = await as.get(`/users/${user}/roles`);
    return as
      .put(`/users/${user}/roles?dryRun=true`)
      .set('if-match', String(headers['etag']))
      .send({ grants: [{ role: 'loader' }] });
  },
  changeGrants: async (as) =>
    as.post('/grants/batch').send({
      mode: 'each',
      changes: [
        { op: 'grant', user: await newUser(as), role: 'loader' },
        { op: 'revoke', user: 'nobody-at-all', role: 'loader' },
      ],
    }),
  revokeRole: async (as) => {
    const user = await newUser(as);
    await as.put(`/users/${user}/roles/loader?scope=north`).expect(201);
    return as.delete(`/users/${user}/roles/loader?scope=north`);
  },
  listRoleUsers: async (as) => as.get('/roles/admin/users?effective=true'),
  listUserExceptions: async (as) => {
    const user = await newUser(as);
    await as.put(`/users/${user}/permissions/orders_view_order`).send({ effect: 'deny' }).expect(201);
    return as.get(`/users/${user}/exceptions`);
  },
  setException: async (as) =>
    as
      .put(`/users/${await newUser(as)}/permissions/orders_view_order`)
      .send({ effect: 'allow', reason: 'try' }),
  endException: async (as) => {
    const user = await newUser(as);
    await as.put(`/users/${user}/permissions/orders_view_order`).send({ effect: 'allow' }).expect(201);
    return as.delete(`/users/${user}/permissions/orders_view_order`);
  },
  listUsers: async (as) => as.get('/users?limit=1'),
  createUser: async (as) => as.post('/users').send({}),
  getUser: async (as) => {
    const user = await newUser(as);
    await as
      .put(`/users/${user}/identities`)
      .send({ ...identity, subject: user })
      .expect(200);
    return as.get(`/users/${user}`);
  },
  updateUser: async (as) => as.patch(`/users/${await newUser(as)}`).send({ active: false, email: null }),
  eraseUser: async (as) => as.post(`/users/${await newUser(as)}/erase`),
  deleteUser: async (as) => as.delete(`/users/${await newUser(as)}`),
  linkIdentity: async (as) => as.put(`/users/${await newUser(as)}/identities`).send(identity),
  unlinkIdentity: async (as) => as.delete(`/users/${await newUser(as)}/identities`).send(identity),
  listRoles: async (as) => as.get('/roles?limit=2'),
  createRole: async (as) =>
    as.post('/roles').send({ key: 'night-shift', name: 'Night shift', description: 'Nights' }),
  getRole: async (as) => as.get('/roles/loader'),
  updateRole: async (as) => as.patch(`/roles/${await newRole(as)}`).send({ name: 'Another' }),
  deleteRole: async (as) => as.delete(`/roles/${await newRole(as)}`),
  getRolePermissions: async (as) => as.get('/roles/manager/permissions'),
  replaceRolePermissions: async (as) => {
    const role = await newRole(as);
    const { headers } = await as.get(`/roles/${role}/permissions`).expect(200);
    const permissions = ['orders.view_order', 'orders:load_order'];
    return as
      .put(`/roles/${role}/permissions`)
      .set('if-match', headers['etag'] ?? '')
      .send({ permissions });
  },
  giveRolePermission: async (as) => as.put(`/roles/${await newRole(as)}/permissions/orders_view_order`),
  withholdRolePermission: async (as) => as.delete('/roles/accountant/permissions/orders_view_prices'),
  includeRole: async (as) => as.put(`/roles/${await newRole(as)}/includes/loader`),
  excludeRole: async (as) => as.delete('/roles/accountant/includes/viewer'),
  listPermissions: async (as) => as.get('/permissions?resource=orders&limit=3'),
  registerPermission: async (as) =>
    as.post('/permissions').send({ permission: 'shop.open', description: 'Open it' }),
  registerPermissions: async (as) =>
    as.post('/permissions/batch').send({ permissions: [{ permission: 'shop.close' }] }),
  getPermission: async (as) => as.get('/permissions/customers.change_customer'),
  describePermission: async (as) =>
    as.patch(`/permissions/${await newPermission(as)}`).send({ description: 'Now' }),
  retirePermission: async (as) => as.delete(`/permissions/${await newPermission(as)}`),
  getMatrix: async (as) => as.get('/matrix'),
  planMatrix: async (as) => as.post('/matrix/plan').send({ files: filesWithLayer }),
  applyMatrix: async (as) => as.post('/matrix/apply').send({ files: filesWithLayer }),
  listSettings: async (as) => as.get('/settings'),
  getSetting: async (as) => as.get('/settings/lease_ms'),
  changeSetting: async (as) => {
    const { headers } = await as.get('/settings/lease_ms').expect(200);
    return as
      .patch('/settings/lease_ms')
      .set('if-match', headers['etag'] ?? '')
      .send({ value: 5 });
  },
  listKeys: async (as) => as.get('/keys'),
  createKey: async (as) =>
    as.post('/keys').send({ user: await newUser(as), name: 'orders', permissions: ['orders.view_order'] }),
  revokeKey: async (as) => {
    const key = await as
      .post('/keys')
      .send({ user: await newUser(as), name: 'orders' })
      .expect(201);
    return as.delete(`/keys/${key.body.id}`);
  },
  listJournal: async (as) => as.get('/journal?limit=5'),
  verifyJournal: async (as) => as.get('/journal/verify'),
  listDenials: async (as) => as.get('/journal/denied'),
  rotateKey: async (as) => {
    const key = await as
      .post('/keys')
      .send({ user: await newUser(as), name: 'orders' })
      .expect(201);
    return as.post(`/keys/${key.body.id}/rotate`).send({ overlapSeconds: 60 });
  },
  listMappings: async (as) => as.get('/mappings?limit=1'),
  createMapping: async (as) => as.post('/mappings').send({ ...mapping, value: 'first' }),
  deleteMapping: async (as) => {
    const { body } = await as.post('/mappings').send(mapping).expect(201);
    return as.delete(`/mappings/${body.mapping.id}`);
  },
  getLiveness: async (as) => as.get('/livez'),
  getReadiness: async (as) => as.get('/readyz'),
  getMetrics: async (as) => as.get('/metrics'),
  getVersion: async (as) => as.get('/version'),
};

test('every operation of the document is exercised, and no other', () => {
  expect(Object.keys(exercises).sort()).toEqual(operations.map(({ operationId }) => operationId).sort());
});

test.for(operations.map(({ operationId }) => operationId))('%s answers as it is documented', async (name) => {
  const { method, path } = operations.find(({ operationId }) => operationId === name) ?? {};
  const response = (await exercises[name]?.(service.as())) as Response;
  expect(response.status, response.text).toBeOneOf([200, 201]);
  expectContract(response, String(method), String(path));
});

test('the document that the server shows is the committed one but for its version', async () => {
  const { body } = await service.as().get('/openapi.json').expect(200);
  expect(operationsOf(body)).toEqual(operationsOf(await generateOpenApi()));
});
