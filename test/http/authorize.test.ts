import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

/** One question, held to the contract, whatever the answer is. */
async function ask(body: object, key?: string) {
  const response = await service.as(key).post('/authorize').send(body);
  expectContract(response, 'POST', '/authorize');
  return response;
}

async function askAll(body: object, key?: string) {
  const response = await service.as(key).post('/authorize/batch').send(body);
  expectContract(response, 'POST', '/authorize/batch');
  return response;
}

async function newUser(id: string, ...roles: readonly string[]): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const role of roles) await service.as().put(`/users/${id}/roles/${role}`).expect(201);
}

describe('a decision', () => {
  test('a manager may see the dashboard and change customers, as slugs (2.3)', async () => {
    await newUser('mona', 'manager');
    const dashboard = await ask({ user: 'mona', permission: 'adminpanel.view_dashboard' });
    expect(dashboard.body).toMatchObject({ allowed: true, permission: 'adminpanel_view_dashboard' });
    const change = await ask({ user: 'mona', permission: 'customers.change_customer' });
    expect(change.body).toMatchObject({ allowed: true, permission: 'customers_change_customer' });
    expect(change.body).not.toHaveProperty('reason');
  });

  test('the three notations of a permission are one permission', async () => {
    await newUser('theo', 'loader');
    const notations = ['orders.load_order', 'orders:load_order', 'orders_load_order'];
    const answers = await Promise.all(notations.map((permission) => ask({ user: 'theo', permission })));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers[0]?.body).toMatchObject({ allowed: true, permission: 'orders_load_order' });
  });

  test('what is no permission is refused with its place', async () => {
    const names = [
      '',
      'orders',
      'Orders.load_order',
      'orders.load.order',
      'orders..x',
      '*',
      'orders.*',
      'orders_',
      '_x',
    ];
    for (const permission of names) {
      const refused = await ask({ permission });
      expect(refused.body).toMatchObject({ code: 'invalid_input', errors: [{ pointer: '/permission' }] });
    }
  });

  test('an included role counts, and so does one included by that', async () => {
    await newUser('ivan', 'manager');
    const { body } = await ask({ user: 'ivan', permission: 'users.view_profile' });
    expect(body.allowed).toBe(true);
  });

  test('a grant holds at its scope and below it, segment by segment, and nowhere else (1.8)', async () => {
    await newUser('petra');
    await service.as().put('/users/petra/roles/loader?scope=org/acme').expect(201);
    const inScope = async (scope: string | undefined) =>
      (
        await ask({
          user: 'petra',
          permission: 'orders.load_order',
          ...(scope === undefined ? {} : { scope }),
        })
      ).body;
    for (const scope of ['org/acme', 'org/acme/billing', 'org/acme/billing/eu'])
      expect(await inScope(scope)).toMatchObject({ allowed: true });
    for (const scope of [undefined, '', 'org', 'org/ac', 'org/acmes', 'org/Acme', 'habits'])
      expect(await inScope(scope)).toMatchObject({ allowed: false, reason: 'not_granted' });
  });
});

describe('a denial is an answer with the first reason that applies', () => {
  const denied = async (body: object) => {
    const response = await ask(body);
    expect(response.status).toBe(200);
    expect(response.body.allowed).toBe(false);
    return response.body.reason;
  };

  test('a permission that nobody registered, even of somebody unknown', async () => {
    expect(await denied({ user: 'root', permission: 'orders.fly' })).toBe('unknown_permission');
    expect(await denied({ user: 'nobody-at-all', permission: 'orders.fly' })).toBe('unknown_permission');
  });

  test('a retired permission is an unknown one', async () => {
    await service.as().post('/permissions').send({ permission: 'crates.stack' }).expect(201);
    expect(await denied({ user: 'root', permission: 'crates.stack' })).toBe('not_granted');
    await service.as().delete('/permissions/crates.stack').expect(200);
    expect(await denied({ user: 'root', permission: 'crates.stack' })).toBe('unknown_permission');
  });

  test('an unknown user', async () => {
    expect(await denied({ user: 'nobody-at-all', permission: 'orders.load_order' })).toBe('unknown_user');
  });

  test('an inactive user, whatever was granted or denied', async () => {
    await newUser('ines', 'loader');
    await service.as().put('/users/ines/permissions/orders_load_order').send({ effect: 'deny' }).expect(201);
    await service.as().patch('/users/ines').send({ active: false }).expect(200);
    expect(await denied({ user: 'ines', permission: 'orders.load_order' })).toBe('inactive_user');
  });

  test('an exception denies what a role and another exception give', async () => {
    await newUser('dora', 'loader');
    await service.as().put('/users/dora/permissions/orders_load_order').send({ effect: 'allow' }).expect(201);
    await service
      .as()
      .put('/users/dora/permissions/orders_load_order?scope=org')
      .send({ effect: 'deny' })
      .expect(201);
    expect(await denied({ user: 'dora', permission: 'orders.load_order', scope: 'org/acme' })).toBe(
      'denied_by_exception',
    );
    expect((await ask({ user: 'dora', permission: 'orders.load_order' })).body.allowed).toBe(true);
  });

  test('nothing granted, a grant that has ended, one that has not begun', async () => {
    await newUser('greta');
    expect(await denied({ user: 'greta', permission: 'orders.load_order' })).toBe('not_granted');
    const windows = {
      loader: { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' },
      manager: { startsAt: '2098-01-01T00:00:00Z', expiresAt: '2099-01-01T00:00:00Z' },
    };
    for (const [role, window] of Object.entries(windows))
      await service.as().put(`/users/greta/roles/${role}`).send(window).expect(201);
    expect(await denied({ user: 'greta', permission: 'orders.load_order' })).toBe('not_granted');
    expect(await denied({ user: 'greta', permission: 'adminpanel.view_dashboard' })).toBe('not_granted');
  });

  test('an exception that has ended denies and allows nothing', async () => {
    await newUser('edda', 'loader');
    const over = { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    await service
      .as()
      .put('/users/edda/permissions/orders_load_order')
      .send({ effect: 'deny', ...over });
    await service
      .as()
      .put('/users/edda/permissions/orders_view_prices')
      .send({ effect: 'allow', ...over });
    expect((await ask({ user: 'edda', permission: 'orders.load_order' })).body.allowed).toBe(true);
    expect(await denied({ user: 'edda', permission: 'orders.view_prices' })).toBe('not_granted');
  });
});

describe('who may ask about whom', () => {
  test('about oneself anybody, whether named or left out', async () => {
    const key = await service.keyFor('selma', 'loader');
    expect((await ask({ permission: 'orders.load_order' }, key)).body.allowed).toBe(true);
    expect((await ask({ user: 'selma', permission: 'orders.load_order' }, key)).body.allowed).toBe(true);
    expect((await ask({ permission: 'orders.view_prices' }, key)).body).toMatchObject({
      allowed: false,
      reason: 'not_granted',
    });
  });

  test('about others only with rolecall_check in that scope', async () => {
    const key = await service.keyFor('brigitte');
    await service.as().put('/users/brigitte/roles/backend?scope=org/acme').expect(201);
    const about = { user: 'root', permission: 'orders.load_order' };
    for (const scope of ['org/acme', 'org/acme/billing'])
      expect((await ask({ ...about, scope }, key)).body.allowed).toBe(true);
    for (const scope of ['', 'org', 'org/ac', 'org/acmes'])
      expect((await ask({ ...about, scope }, key)).body).toMatchObject({ status: 403, code: 'forbidden' });
    const everywhere = await ask(about, key);
    expect(everywhere.body.detail).toContain('rolecall_check');
  });

  test('a refusal does not tell whether the user or the permission exists', async () => {
    const key = await service.keyFor('simon', 'loader');
    const details = await Promise.all(
      [
        { user: 'root', permission: 'orders.load_order' },
        { user: 'nobody-at-all', permission: 'orders.load_order' },
        { user: 'root', permission: 'orders.fly' },
      ].map((body) => ask(body, key)),
    );
    expect(details.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(new Set(details.map(({ body }) => body.detail)).size).toBe(1);
  });

  test("the caller's own permissions are never the answer about somebody else", async () => {
    await newUser('paul');
    expect((await ask({ user: 'paul', permission: 'rolecall.check' })).body.allowed).toBe(false);
  });
});

describe('a batch', () => {
  test('answers in the order of the questions, duplicates too, from one revision', async () => {
    await newUser('bea', 'loader');
    const { body } = await askAll({
      user: 'bea',
      checks: [
        { permission: 'orders.load_order' },
        { permission: 'orders.view_prices' },
        { user: 'nobody-at-all', permission: 'orders.load_order' },
        { permission: 'orders:load_order' },
        { user: 'root', permission: 'orders.view_prices', scope: 'org/acme' },
        { permission: 'orders.fly' },
      ],
    });
    expect(body).toEqual({
      results: [
        { allowed: true, permission: 'orders_load_order' },
        { allowed: false, permission: 'orders_view_prices', reason: 'not_granted' },
        { allowed: false, permission: 'orders_load_order', reason: 'unknown_user' },
        { allowed: true, permission: 'orders_load_order' },
        { allowed: true, permission: 'orders_view_prices' },
        { allowed: false, permission: 'orders_fly', reason: 'unknown_permission' },
      ],
      revision: (await ask({ permission: 'orders.fly' })).body.revision,
    });
  });

  test('one without a user is about the caller, and without a scope everywhere', async () => {
    const key = await service.keyFor('bert');
    await service.as().put('/users/bert/roles/loader?scope=org').expect(201);
    const checks = [
      { permission: 'orders.load_order' },
      { permission: 'orders.load_order', scope: 'org/acme' },
    ];
    const allowed = async (more: object) => {
      const { body } = await askAll({ checks, ...more }, key);
      return body.results.map((result: { allowed: boolean }) => result.allowed);
    };
    expect(await allowed({})).toEqual([false, true]);
    expect(await allowed({ scope: 'org' })).toEqual([true, true]);
    expect(await allowed({ scope: 'habits', user: 'bert' })).toEqual([false, true]);
  });

  test.for([1, 1_000])('takes %i checks', async (many) => {
    const checks = Array.from({ length: many }, (_, index) => ({
      user: index % 2 ? 'root' : `nobody-${index}`,
      permission: index % 3 ? 'orders.load_order' : `orders.fly_${index}`,
    }));
    const { body } = await askAll({ checks });
    expect(body.results).toEqual(
      checks.map((_, index) => {
        if (index % 3 === 0)
          return { allowed: false, permission: `orders_fly_${index}`, reason: 'unknown_permission' };
        return index % 2
          ? { allowed: true, permission: 'orders_load_order' }
          : { allowed: false, permission: 'orders_load_order', reason: 'unknown_user' };
      }),
    );
  });

  test.for([0, 1_001])('does not take %i checks', async (many) => {
    const checks = Array.from({ length: many }, () => ({ permission: 'orders.load_order' }));
    const refused = await askAll({ checks });
    expect(refused.body).toMatchObject({ code: 'invalid_input', errors: [{ pointer: '/checks' }] });
  });

  test('a fault in one question is named with its place', async () => {
    const refused = await askAll({
      checks: [{ permission: 'orders.load_order' }, { permission: 'Orders', scope: 'a//b' }],
    });
    expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      '/checks/1/permission',
      '/checks/1/scope',
    ]);
  });

  test('is refused whole if one question about another is not covered', async () => {
    const key = await service.keyFor('bruno', 'loader');
    await service.as().put('/users/bruno/roles/backend?scope=org/acme').expect(201);
    const own = { permission: 'orders.load_order' };
    const covered = { user: 'root', permission: 'orders.load_order', scope: 'org/acme/x' };
    expect((await askAll({ checks: [own, covered] }, key)).body.results).toHaveLength(2);
    const refused = await askAll({ checks: [own, covered, { ...covered, scope: 'org' }] }, key);
    expect(refused.body).toMatchObject({ status: 403, code: 'forbidden' });
    expect(refused.body).not.toHaveProperty('results');
    expect((await askAll({ user: 'root', checks: [own] }, key)).status).toBe(403);
  });
});

describe('freshness', () => {
  const self = { permission: 'orders.load_order' };

  test('an answer is never older than the write whose revision it names', async () => {
    await newUser('fiona');
    const granted = await service.as().put('/users/fiona/roles/loader').expect(201);
    for (const freshness of ['latest', 'lease']) {
      const body = { user: 'fiona', ...self, atLeast: granted.body.revision, freshness };
      expect((await ask(body)).body.allowed).toBe(true);
      expect(
        (await askAll({ checks: [{ ...self, user: 'fiona' }], atLeast: granted.body.revision, freshness }))
          .status,
      ).toBe(200);
    }
  });

  test('it is one of two words', async () => {
    for (const freshness of ['stale', 'LATEST', '', null, 1])
      expect((await ask({ ...self, freshness })).body.errors).toMatchObject([{ pointer: '/freshness' }]);
  });

  test('what is no revision is refused as such', async () => {
    const epoch = '0f3a9c51d2e7';
    const garbage = [
      '',
      'x',
      '42',
      '-1',
      epoch,
      `${epoch}-`,
      `${epoch}-01`,
      `${epoch}--1`,
      `${epoch}-${10n ** 17n}`,
    ];
    for (const atLeast of [...garbage, `${epoch.toUpperCase()}-1`]) {
      expect((await ask({ ...self, atLeast })).body).toMatchObject({ status: 400, code: 'invalid_revision' });
      const inQuery = await service.as().get('/me/permissions').query({ atLeast });
      expect(inQuery.body).toMatchObject({ status: 400, code: 'invalid_revision' });
    }
  });

  test('a revision of another database is refused', async () => {
    const refused = await ask({ ...self, atLeast: '0123456789ab-1' });
    expect(refused.body).toMatchObject({ status: 400, code: 'invalid_revision' });
  });

  test('a revision that this database has not reached is lost history', async () => {
    const { revision } = (await ask(self)).body;
    const [epoch, value] = revision.split('-');
    const lost = await ask({ ...self, atLeast: `${epoch}-${Number(value) + 1_000_000}` });
    expect(lost.body).toMatchObject({ status: 409, code: 'lost_history' });
    const past = await ask({ ...self, atLeast: `${epoch}-0` });
    expect(past.status).toBe(200);
  });
});
