import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const path = '/users/{user}/permissions/{permission}';

async function put(place: string, terms: object) {
  const response = await service.as().put(`/users/${place}`).send(terms);
  expectContract(response, 'PUT', path);
  return response;
}

async function end(place: string) {
  const response = await service.as().delete(`/users/${place}`);
  expectContract(response, 'DELETE', path);
  return response;
}

async function newUser(id: string, ...roles: readonly string[]): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const role of roles) await service.as().put(`/users/${id}/roles/${role}`).expect(201);
}

async function exceptionsOf(id: string): Promise<Record<string, unknown>[]> {
  const response = await service.as().get(`/users/${id}/exceptions`);
  expectContract(response, 'GET', '/users/{user}/exceptions');
  return response.body.data;
}

describe('an exception that allows', () => {
  test('gives one permission and answers with it', async () => {
    await newUser('adam', 'loader');
    const terms = { effect: 'allow', expiresAt: '2099-01-01T00:00:00Z', reason: 'covers for Maria' };
    const allowed = await put('adam/permissions/orders.view_prices', terms);
    expect(allowed.status).toBe(201);
    expect(allowed.body).toMatchObject({
      user: 'adam',
      changed: true,
      gained: ['orders_view_prices'],
      lost: [],
      exception: {
        user: 'adam',
        permission: 'orders_view_prices',
        effect: 'allow',
        scope: '',
        startsAt: null,
        expiresAt: '2099-01-01T00:00:00.000Z',
        reason: 'covers for Maria',
        grantedBy: 'root',
      },
    });
    expect(allowed.body.permissions).toContain('orders_load_order');
    expect(await exceptionsOf('adam')).toEqual([allowed.body.exception]);
  });

  test('gains what no role gives and nobody had before', async () => {
    await service.as().post('/permissions').send({ permission: 'lab.open' }).expect(201);
    await newUser('alva');
    const { body } = await service.as().put('/users/alva/permissions/lab.open').send({ effect: 'allow' });
    expect(body).toMatchObject({ permissions: ['lab_open'], gained: ['lab_open'], lost: [] });
    const ended = await service.as().delete('/users/alva/permissions/lab.open').expect(200);
    expect(ended.body).toMatchObject({ permissions: [], gained: [], lost: ['lab_open'] });
  });

  test('gains nothing where a role gives the same', async () => {
    await newUser('alma', 'loader');
    const { body } = await put('alma/permissions/orders:load_order', { effect: 'allow' });
    expect(body).toMatchObject({ changed: true, gained: [], lost: [] });
  });
});

describe('an exception that denies', () => {
  test('takes what a role gives, in its scope and below', async () => {
    await newUser('bela', 'loader');
    const denied = await put('bela/permissions/orders_load_order?scope=org', { effect: 'deny' });
    expect(denied.body).toMatchObject({ gained: [], lost: ['orders_load_order'] });
    const held = async (scope: string) =>
      (await service.as().get('/users/bela/permissions').query({ scope })).body.permissions;
    expect(await held('')).toContain('orders_load_order');
    expect(await held('org/acme')).not.toContain('orders_load_order');
  });

  test('wins over one that allows, whichever was there first and wherever above', async () => {
    await newUser('bine');
    await put('bine/permissions/orders_load_order?scope=org/acme', { effect: 'allow' });
    expect((await put('bine/permissions/orders_load_order', { effect: 'deny' })).body.lost).toEqual([]);
    const answer = await service
      .as()
      .post('/authorize')
      .send({ user: 'bine', permission: 'orders.load_order', scope: 'org/acme' });
    expect(answer.body).toMatchObject({ allowed: false, reason: 'denied_by_exception' });
  });
});

describe('one place has one exception', () => {
  test('the same again changes nothing', async () => {
    await newUser('carl');
    const first = await put('carl/permissions/orders_load_order', { effect: 'deny', reason: 'x' });
    const again = await put('carl/permissions/orders.load_order', { effect: 'deny', reason: 'x' });
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ changed: false, gained: [], lost: [], revision: first.body.revision });
    expect(again.body.exception).toEqual(first.body.exception);
  });

  test('another effect or other terms replace it', async () => {
    await newUser('cora', 'loader');
    await put('cora/permissions/orders_load_order', { effect: 'deny' });
    const allowed = await put('cora/permissions/orders_load_order', { effect: 'allow' });
    expect(allowed.status).toBe(200);
    expect(allowed.body).toMatchObject({ changed: true, gained: ['orders_load_order'], lost: [] });
    const over = { effect: 'deny', startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    expect((await put('cora/permissions/orders_load_order', over)).body).toMatchObject({
      gained: [],
      lost: [],
    });
    expect(await exceptionsOf('cora')).toMatchObject([
      { effect: 'deny', expiresAt: '2002-01-01T00:00:00.000Z' },
    ]);
  });

  test('scopes are places of their own, and the list is sorted', async () => {
    await newUser('curt');
    for (const scope of ['org/acme', '', 'org'])
      await put(`curt/permissions/orders_load_order?scope=${scope}`, { effect: 'deny' });
    await put('curt/permissions/customers_add_note', { effect: 'allow' });
    expect((await exceptionsOf('curt')).map(({ permission, scope }) => `${permission} ${scope}`)).toEqual([
      'customers_add_note ',
      'orders_load_order ',
      'orders_load_order org',
      'orders_load_order org/acme',
    ]);
  });
});

describe('ending an exception', () => {
  test('gives back what it denied, and twice changes nothing', async () => {
    await newUser('dina', 'loader');
    await put('dina/permissions/orders_load_order', { effect: 'deny' });
    const ended = await end('dina/permissions/orders:load_order');
    expect(ended.body).toMatchObject({
      user: 'dina',
      changed: true,
      gained: ['orders_load_order'],
      lost: [],
    });
    const again = await end('dina/permissions/orders_load_order');
    expect(again.body).toMatchObject({ changed: false, gained: [], revision: ended.body.revision });
    expect(await exceptionsOf('dina')).toEqual([]);
  });

  test('without a scope touches only the one everywhere', async () => {
    await newUser('dirk');
    for (const scope of ['', 'org'])
      await put(`dirk/permissions/orders_load_order?scope=${scope}`, { effect: 'deny' });
    await end('dirk/permissions/orders_load_order');
    expect(await exceptionsOf('dirk')).toMatchObject([{ scope: 'org' }]);
  });
});

describe('what cannot be', () => {
  test('an unknown user or permission is 404; only permissions are suggested', async () => {
    await newUser('egon');
    const noUser = await put('egonn/permissions/orders_load_order', { effect: 'deny' });
    expect(noUser.body).toMatchObject({ status: 404, code: 'unknown_user' });
    expect(noUser.body).not.toHaveProperty('didYouMean');
    const noPermission = await put('egon/permissions/orders.load_ordr', { effect: 'deny' });
    expect(noPermission.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    expect(noPermission.body.didYouMean).toContain('orders_load_order');
    expect((await end('egon/permissions/orders_load_ordr')).body.code).toBe('unknown_permission');
    expect((await service.as().get('/users/egonn/exceptions')).body.code).toBe('unknown_user');
  });

  test('a retired permission is unknown', async () => {
    await newUser('elli');
    await service.as().post('/permissions').send({ permission: 'crates.open' }).expect(201);
    await service.as().delete('/permissions/crates.open').expect(200);
    expect((await put('elli/permissions/crates_open', { effect: 'allow' })).body.code).toBe(
      'unknown_permission',
    );
  });

  test('a body says allow or deny and terms that can be, and nothing else', async () => {
    await newUser('emma');
    const faults: readonly (readonly [string, object])[] = [
      ['/effect', {}],
      ['/effect', { effect: 'ALLOW' }],
      ['/effect', { effect: true }],
      ['/effect', { effect: ['allow'] }],
      ['/expiresAt', { effect: 'deny', startsAt: '2030-01-02T00:00:00Z', expiresAt: '2030-01-01T00:00:00Z' }],
      ['/scope', { effect: 'deny', scope: 'north' }],
      ['/reason', { effect: 'deny', reason: 5 }],
    ];
    for (const [pointer, body] of faults)
      expect((await put('emma/permissions/orders_load_order', body)).body).toMatchObject({
        status: 400,
        errors: [{ pointer }],
      });
    expect((await service.as().put('/users/emma/permissions/orders_load_order')).status).toBe(400);
    expect((await put('emma/permissions/orders', { effect: 'deny' })).body.errors).toMatchObject([
      { pointer: '/path/permission' },
    ]);
    expect(await exceptionsOf('emma')).toEqual([]);
  });
});
