import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function newUser(id: string, grants: Readonly<Record<string, object>> = {}): Promise<void> {
  await service
    .as()
    .post('/users')
    .send({ id, email: `${id}@example.com` })
    .expect(201);
  for (const [place, terms] of Object.entries(grants))
    await service.as().put(`/users/${id}/roles/${place}`).send(terms).expect(201);
}

async function explain(user: string, query: object, key?: string) {
  const response = await service
    .as(key)
    .get(`/users/${encodeURIComponent(user)}/explain`)
    .query(query);
  expectContract(response, 'GET', '/users/{user}/explain');
  return response;
}

describe('an explanation of what is allowed', () => {
  test('names the grant with who, when, why and until, the includes and the edge with their origins', async () => {
    const until = '2097-03-01T12:00:00.000Z';
    await newUser('maria', { 'manager?scope=org': { expiresAt: until, reason: 'leads the north' } });
    const { body } = await explain('maria', { permission: 'orders.view_order', scope: 'org/acme' });
    expect(body).toEqual({
      user: 'maria',
      permission: 'orders_view_order',
      scope: 'org/acme',
      allowed: true,
      changesAt: until,
      paths: [
        {
          state: 'in_force',
          grant: {
            role: 'manager',
            scope: 'org',
            origin: 'api',
            startsAt: null,
            expiresAt: until,
            reason: 'leads the north',
            grantedBy: 'root',
            grantedAt: expect.any(String),
          },
          includes: [{ role: 'viewer', origins: ['baseline'] }],
          edge: { role: 'viewer', origins: ['baseline'] },
        },
      ],
      pathsLeftOut: 0,
      exceptions: [],
      exceptionsLeftOut: 0,
      nearestRoles: [],
      nearestRolesLeftOut: 0,
      revision: expect.any(String),
    });
  });

  test('names every origin of an edge, so that who takes one away knows what remains (2.8)', async () => {
    await newUser('otto', { manager: {} });
    await service.as().put('/roles/manager/permissions/orders_approve_order').expect(200);
    const { body } = await explain('otto', { permission: 'orders.approve_order' });
    expect(body.paths[0].edge).toEqual({ role: 'manager', origins: ['api', 'baseline'] });
  });

  test('still names who granted when they are gone', async () => {
    const key = await service.keyFor('gone');
    await service.as().put('/users/gone/roles/admin').expect(201);
    await newUser('left');
    await service.as(key).put('/users/left/roles/loader').expect(201);
    await service.as().delete('/users/gone').expect(200);
    const { body } = await explain('left', { permission: 'orders.load_order' });
    expect(body.paths[0].grant.grantedBy).toBe('gone');
  });
});

describe('an explanation of a denial', () => {
  test('says what is over and what is to come, and when it will be allowed', async () => {
    const start = '2097-03-01T12:00:00.000Z';
    await newUser('erin', {
      'loader?scope=org': { expiresAt: '2001-01-01T00:00:00Z' },
      loader: { startsAt: start },
    });
    const { body } = await explain('erin', { permission: 'orders.load_order', scope: 'org' });
    expect(body).toMatchObject({ allowed: false, reason: 'not_granted', changesAt: start });
    expect(body.paths.map(({ state }: { state: string }) => state)).toEqual(['not_started', 'expired']);
  });

  test('names the exception that denies, beside the path that would give it', async () => {
    await newUser('olga', { manager: {} });
    const terms = { effect: 'deny', reason: 'under review', expiresAt: '2097-03-01T12:00:00Z' };
    await service.as().put('/users/olga/permissions/orders_view_order?scope=org').send(terms).expect(201);
    const { body } = await explain('olga', { permission: 'orders.view_order', scope: 'org/acme' });
    expect(body).toMatchObject({
      allowed: false,
      reason: 'denied_by_exception',
      changesAt: '2097-03-01T12:00:00.000Z',
      paths: [{ state: 'in_force', grant: { role: 'manager' } }],
      exceptions: [
        { state: 'in_force', effect: 'deny', scope: 'org', reason: 'under review', grantedBy: 'root' },
      ],
      nearestRoles: [],
    });
  });

  test('names the roles that would allow it, the one that gives the fewest others first', async () => {
    await newUser('nick');
    await service.as().post('/roles').send({ key: 'only-loads', name: 'Only loads' }).expect(201);
    await service.as().put('/roles/only-loads/permissions/orders_load_order').expect(200);
    const { body } = await explain('nick', { permission: 'orders.load_order' });
    expect(body.nearestRoles.map(({ role }: { role: string }) => role)).toEqual([
      'only-loads',
      'loader',
      'admin',
    ]);
    expect(body.nearestRoles[0].otherPermissions).toBe(0);
  });

  test.for([
    ['is not registered', 'orders.fly', 'unknown_permission'],
    ['is not granted to somebody inactive', 'orders.load_order', 'inactive_user'],
  ] as const)('of what %s is an answer', async ([, permission, reason]) => {
    const id = `inactive-${reason}`;
    await newUser(id, { loader: {} });
    await service.as().patch(`/users/${id}`).send({ active: false }).expect(200);
    const { body } = await explain(id, { permission });
    expect(body).toMatchObject({ allowed: false, reason, changesAt: null, nearestRoles: [] });
  });
});

describe('who may ask', () => {
  test('about others needs rolecall_read_users in that scope, and tells nothing of who exists', async () => {
    const key = await service.keyFor('reto');
    await service.as().put('/users/reto/roles/backend?scope=org/acme').expect(201);
    const about = async (user: string, scope: string) =>
      (await explain(user, { permission: 'orders.view_order', scope }, key)).status;
    expect(await about('root', 'org/acme/billing')).toBe(200);
    expect(await about('root', 'org')).toBe(403);
    expect(await about('nobody-at-all', 'org')).toBe(403);
    expect(await about('nobody-at-all', 'org/acme')).toBe(404);
  });

  test('about oneself needs nothing, and hides who granted, why, origins and other roles (A-04)', async () => {
    const key = await service.keyFor('mira');
    await service.as().put('/users/mira/roles/manager').send({ reason: 'trial until spring' }).expect(201);
    const deny = { effect: 'deny', reason: 'under investigation' };
    await service.as().put('/users/mira/permissions/orders_view_order').send(deny).expect(201);
    const own = await explain('mira', { permission: 'orders.view_order' }, key);
    expect(own.body).toEqual({
      user: 'mira',
      permission: 'orders_view_order',
      scope: '',
      allowed: false,
      reason: 'denied_by_exception',
      changesAt: null,
      paths: [
        {
          state: 'in_force',
          grant: { role: 'manager', scope: '', startsAt: null, expiresAt: null },
          includes: [{ role: 'viewer' }],
          edge: { role: 'viewer' },
        },
      ],
      pathsLeftOut: 0,
      exceptions: [
        {
          state: 'in_force',
          permission: 'orders_view_order',
          effect: 'deny',
          scope: '',
          startsAt: null,
          expiresAt: null,
        },
      ],
      exceptionsLeftOut: 0,
      revision: expect.any(String),
    });
    const lacking = await explain('mira', { permission: 'orders.load_order' }, key);
    expect(lacking.body).not.toHaveProperty('nearestRoles');
    for (const { text } of [own, lacking])
      expect(text).not.toMatch(/root|trial|investigation|baseline|admin/);
  });

  test('about oneself is told all, to whoever may see users', async () => {
    const { body } = await explain('root', { permission: 'rolecall.check' });
    expect(body.paths[0]).toMatchObject({ edge: { role: 'admin', origins: ['builtin'] } });
    expect(body.paths[0].grant).toMatchObject({ grantedBy: null, origin: 'api' });
    const { body: made } = await service
      .as()
      .post('/keys')
      .send({ user: 'root', name: 'x', permissions: ['rolecall.check'] })
      .expect(201);
    const narrowed = await explain('root', { permission: 'rolecall.check' }, made.key);
    expect(narrowed.body.paths[0].grant).not.toHaveProperty('grantedBy');
  });

  test('nobody is told an e-mail address or an internal key (A-04)', async () => {
    await newUser('mail', { loader: {} });
    const { text } = await explain('mail', { permission: 'orders.load_order' });
    expect(text).not.toMatch(/@|[Pp]k"/);
  });
});

describe('a question that is none', () => {
  test.for([
    ['no permission', {}, '/query/permission'],
    ['a permission twice', { permission: ['orders.view_order', 'orders.load_order'] }, '/query/permission'],
    ['a permission that is none', { permission: 'Orders View' }, '/query/permission'],
    ['a scope that is none', { permission: 'orders.view_order', scope: 'org//acme' }, '/query/scope'],
    ['an unknown member', { permission: 'orders.view_order', at: '2026-01-01' }, '/query/at'],
    ['another user', { permission: 'orders.view_order', user: 'root' }, '/query/user'],
    ['a freshness that is none', { permission: 'orders.view_order', freshness: 'old' }, '/query/freshness'],
  ] as const)('is refused with its place: %s', async ([, query, pointer]) => {
    const { body } = await explain('root', query);
    expect(body).toMatchObject({ status: 400, errors: [{ pointer }] });
  });

  test('about revisions that are not of this history is refused', async () => {
    const { body } = await service.as().get('/me/permissions').expect(200);
    const at = (atLeast: string) => explain('root', { permission: 'rolecall.check', atLeast });
    expect((await at(body.revision)).status).toBe(200);
    expect((await at(`${body.revision}000`)).body.code).toBe('lost_history');
    expect((await at('000000000000-1')).body.code).toBe('invalid_revision');
    expect((await at('garbage')).body.code).toBe('invalid_revision');
  });

  test('is answered for any id that a user may have', async () => {
    const id = '😀%/?#'.padEnd(255, 'ü');
    await service.as().post('/users').send({ id }).expect(201);
    expect((await explain(id, { permission: 'orders.view_order' })).body.user).toBe(id);
  });
});
