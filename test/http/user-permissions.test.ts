import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const path = '/users/{user}/permissions';
const loads = [
  'documents_view_document',
  'orders_load_order',
  'orders_view_order',
  'users_change_profile',
  'users_view_profile',
];

async function newUser(id: string, grants: Readonly<Record<string, object>> = {}): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const [place, terms] of Object.entries(grants))
    await service.as().put(`/users/${id}/roles/${place}`).send(terms).expect(201);
}

async function permissionsOf(id: string, scope = '') {
  const response = await service.as().get(`/users/${id}/permissions`).query({ scope }).expect(200);
  expectContract(response, 'GET', path);
  return response;
}

describe('what a user may do', () => {
  test('goes out as sorted slugs, with every role that counts and the scope', async () => {
    await newUser('lena', { loader: {} });
    const { body } = await permissionsOf('lena');
    expect(body).toEqual({
      user: 'lena',
      scope: '',
      permissions: loads,
      roles: ['loader', 'user'],
      revision: expect.any(String),
      expiresAt: null,
    });
  });

  test('is what authorize allows, permission by permission', async () => {
    await newUser('marc', { manager: {}, 'loader?scope=org/acme': {} });
    await service.as().put('/users/marc/permissions/orders_view_order').send({ effect: 'deny' }).expect(201);
    await service.as().put('/users/marc/permissions/orders_issue_refund?scope=org').send({ effect: 'allow' });
    const catalogue = await service.as().get('/permissions?limit=200').expect(200);
    const slugs: string[] = catalogue.body.data.map(({ permission }: { permission: string }) => permission);
    for (const scope of ['', 'org', 'org/acme', 'org/acme/billing', 'habits']) {
      const checks = slugs.map((permission) => ({ user: 'marc', permission, scope }));
      const asked = await service.as().post('/authorize/batch').send({ checks }).expect(200);
      const allowed = slugs.filter((_, index) => asked.body.results[index].allowed);
      expect((await permissionsOf('marc', scope)).body.permissions).toEqual(allowed.sort());
    }
  });

  test('differs from scope to scope, and the scope is said', async () => {
    await newUser('susi', { 'loader?scope=org/acme': {} });
    expect((await permissionsOf('susi')).body).toMatchObject({ scope: '', permissions: [], roles: [] });
    expect((await permissionsOf('susi', 'org/acme/billing')).body).toMatchObject({
      scope: 'org/acme/billing',
      permissions: loads,
      roles: ['loader', 'user'],
    });
    expect((await permissionsOf('susi', 'org/acmes')).body.permissions).toEqual([]);
  });

  test('is nothing for somebody inactive and for somebody with nothing, and both exist', async () => {
    await newUser('nina', { loader: {} });
    await service.as().patch('/users/nina').send({ active: false }).expect(200);
    await newUser('nick');
    for (const id of ['nina', 'nick'])
      expect((await permissionsOf(id)).body).toMatchObject({
        user: id,
        permissions: [],
        roles: [],
        expiresAt: null,
      });
    const unknown = await service.as().get('/users/nobody-at-all/permissions');
    expectContract(unknown, 'GET', path);
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_user' });
  });

  test('is for others only with rolecall_read_users in that scope', async () => {
    const key = await service.keyFor('reto');
    await service.as().put('/users/reto/roles/backend?scope=org/acme').expect(201);
    const about = async (user: string, scope: string) =>
      (await service.as(key).get(`/users/${user}/permissions`).query({ scope })).status;
    expect(await about('root', 'org/acme/billing')).toBe(200);
    expect(await about('root', 'org')).toBe(403);
    expect(await about('nobody-at-all', 'org')).toBe(403);
    expect(await about('reto', 'org')).toBe(200);
  });
});

describe('when the answer changes by itself', () => {
  const soon = '2097-03-01T12:00:00.123Z';
  const later = '2098-03-01T12:00:00.000Z';

  test('is the next end or start, to the millisecond', async () => {
    await newUser('elsa', { loader: { expiresAt: soon }, manager: { startsAt: later } });
    expect((await permissionsOf('elsa')).body.expiresAt).toBe(soon);
    await newUser('emil', { loader: { expiresAt: later }, manager: { startsAt: soon } });
    expect((await permissionsOf('emil')).body.expiresAt).toBe(soon);
  });

  test('is said in UTC, whatever offset was written', async () => {
    await newUser('elke', { loader: { expiresAt: '2097-03-01T14:30:00.5+02:30' } });
    expect((await permissionsOf('elke')).body.expiresAt).toBe('2097-03-01T12:00:00.500Z');
  });

  test('leaves out what changes nothing, and what holds elsewhere', async () => {
    await newUser('erik', {
      loader: {},
      'loader?scope=org': { expiresAt: soon },
      'manager?scope=org/acme': { expiresAt: later },
    });
    expect((await permissionsOf('erik')).body.expiresAt).toBeNull();
    expect((await permissionsOf('erik', 'org')).body.expiresAt).toBeNull();
    expect((await permissionsOf('erik', 'org/acme')).body.expiresAt).toBe(later);
  });

  test('counts exceptions too', async () => {
    await newUser('enno', { loader: {} });
    const deny = { effect: 'deny', startsAt: soon, expiresAt: later };
    await service.as().put('/users/enno/permissions/orders_load_order').send(deny).expect(201);
    expect((await permissionsOf('enno')).body.expiresAt).toBe(soon);
    await service
      .as()
      .put('/users/enno/permissions/orders_load_order')
      .send({ ...deny, startsAt: null })
      .expect(200);
    expect((await permissionsOf('enno')).body).toMatchObject({
      expiresAt: later,
      permissions: loads.filter((slug) => slug !== 'orders_load_order'),
    });
  });
});

describe('the ETag', () => {
  test('is weak and stays while others change; the revision moves on', async () => {
    await newUser('tina', { loader: {} });
    const first = await permissionsOf('tina');
    expect(first.headers['etag']).toMatch(/^W\/"[\w-]+"$/);
    expect(first.headers['rolecall-revision']).toBe(first.body.revision);
    await newUser('tilo', { loader: {} });
    const second = await permissionsOf('tina');
    expect(second.headers['etag']).toBe(first.headers['etag']);
    expect(second.body.revision).not.toBe(first.body.revision);
    expect(second.headers['rolecall-revision']).toBe(second.body.revision);
  });

  test('changes with the answer and comes back with it', async () => {
    await newUser('tara', { loader: {} });
    const before = await permissionsOf('tara');
    await service
      .as()
      .put('/users/tara/permissions/orders_view_prices')
      .send({ effect: 'allow' })
      .expect(201);
    const between = await permissionsOf('tara');
    await service.as().delete('/users/tara/permissions/orders_view_prices').expect(200);
    const after = await permissionsOf('tara');
    expect(between.headers['etag']).not.toBe(before.headers['etag']);
    expect(after.headers['etag']).toBe(before.headers['etag']);
    const elsewhere = await permissionsOf('tara', 'org');
    expect(elsewhere.headers['etag']).not.toBe(before.headers['etag']);
  });

  test('is the same for a user and for whoever asks about them, and not that of another user', async () => {
    const key = await service.keyFor('toni', 'loader');
    await newUser('tomi', { loader: {} });
    const own = await service.as(key).get('/me/permissions').expect(200);
    expect(own.headers['etag']).toBe((await permissionsOf('toni')).headers['etag']);
    expect(own.headers['etag']).not.toBe((await permissionsOf('tomi')).headers['etag']);
  });

  test('spares the body for who has it, in every spelling of If-None-Match', async () => {
    await newUser('theo', { loader: {} });
    const known = await permissionsOf('theo');
    const tag = known.headers['etag'] as string;
    const strong = tag.replace('W/', '');
    for (const header of [tag, strong, '*', `"x", ${tag}`, `${strong},W/"y"`, ` W/"a" , ${tag} `]) {
      const unchanged = await service.as().get('/users/theo/permissions').set('if-none-match', header);
      expect(unchanged.status, header).toBe(304);
      expectContract(unchanged, 'GET', path);
      expect(unchanged.headers).toMatchObject({ etag: tag, 'rolecall-revision': known.body.revision });
    }
    for (const header of ['"x"', 'W/"x", "y"', strong.slice(1, -1), '', `${tag}x`]) {
      const whole = await service.as().get('/users/theo/permissions').set('if-none-match', header);
      expect(whole.status, header).toBe(200);
      expect(whole.body.permissions).toEqual(loads);
    }
  });

  test('a 304 says the present revision, and says nothing after a revocation', async () => {
    await newUser('timo', { loader: {} });
    const tag = (await permissionsOf('timo')).headers['etag'] as string;
    await newUser('tobi');
    const { body } = await service.as().get('/me/permissions').expect(200);
    const unchanged = await service.as().get('/users/timo/permissions').set('if-none-match', tag).expect(304);
    expect(unchanged.headers['rolecall-revision']).toBe(body.revision);
    await service.as().delete('/users/timo/roles/loader').expect(200);
    const changed = await service.as().get('/users/timo/permissions').set('if-none-match', tag).expect(200);
    expect(changed.body.permissions).toEqual([]);
  });
});

describe("what is one's own", () => {
  test('permissions and scopes need no permission and come from the credential alone (1.11)', async () => {
    const key = await service.keyFor('mira');
    await service.as().put('/users/mira/roles/loader?scope=org').expect(201);
    const me = await service
      .as(key)
      .get('/me/permissions?scope=org')
      .set('x-internal-id', 'root')
      .expect(200);
    expectContract(me, 'GET', '/me/permissions');
    expect(me.body).toMatchObject({ user: 'mira', scope: 'org', permissions: loads });
    const scopes = await service.as(key).get('/me/scopes').expect(200);
    expectContract(scopes, 'GET', '/me/scopes');
    expect(scopes.body).toMatchObject({ user: 'mira', permission: null, scopes: ['org'], denied: [] });
    for (const other of ['/me/permissions?user=root', '/me/scopes?user=root'])
      expect((await service.as(key).get(other)).body.errors).toMatchObject([{ pointer: '/query/user' }]);
  });
});

describe('where somebody holds something', () => {
  const scopesOf = async (id: string, permission?: string) => {
    const response = await service
      .as()
      .get(`/users/${id}/scopes`)
      .query(permission ? { permission } : {});
    expectContract(response, 'GET', '/users/{user}/scopes');
    return response.body;
  };

  test('is every scope of a grant or exception that gives it, sorted', async () => {
    await newUser('vera', {
      'loader?scope=org/b': {},
      'manager?scope=org/a': {},
      'loader?scope=over': { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' },
    });
    await service
      .as()
      .put('/users/vera/permissions/orders_load_order?scope=c')
      .send({ effect: 'allow' })
      .expect(201);
    expect(await scopesOf('vera', 'orders.load_order')).toMatchObject({
      permission: 'orders_load_order',
      scopes: ['c', 'org/b'],
      denied: [],
    });
    expect(await scopesOf('vera', 'adminpanel:view_dashboard')).toMatchObject({ scopes: ['org/a'] });
    expect(await scopesOf('vera')).toMatchObject({ permission: null, scopes: ['c', 'org/a', 'org/b'] });
    expect(await scopesOf('vera', 'orders.fly')).toMatchObject({ scopes: [], permission: 'orders_fly' });
  });

  test('names where it is denied', async () => {
    await newUser('vito', { loader: {} });
    for (const scope of ['org/acme', 'habits'])
      await service
        .as()
        .put(`/users/vito/permissions/orders_load_order?scope=${scope}`)
        .send({ effect: 'deny' });
    expect(await scopesOf('vito', 'orders.load_order')).toMatchObject({
      scopes: [''],
      denied: ['habits', 'org/acme'],
    });
  });

  test('needs rolecall_read_users somewhere, and a user who exists', async () => {
    const key = await service.keyFor('vlad');
    expect((await service.as(key).get('/users/root/scopes')).status).toBe(403);
    await service.as().put('/users/vlad/roles/backend?scope=org').expect(201);
    expect((await service.as(key).get('/users/root/scopes')).body.scopes).toEqual(['org']);
    expect((await service.as(key).get('/users/vlad/scopes')).status).toBe(200);
    expect((await service.as().get('/users/nobody-at-all/scopes')).body.code).toBe('unknown_user');
  });
});
