import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operatorCall } from '../../src/services/call.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const ask = (user: string, at: string, permission = 'orders.load_order', key?: string) =>
  service.as(key).post('/authorize').send({ user, permission, at });
const revisionOf = async (write: PromiseLike<{ body: { revision: string } }>) => (await write).body.revision;

describe('as it was then', () => {
  test('is asked of a check, of permissions, of an explanation and of who can', async () => {
    const root = service.as();
    const made = await revisionOf(root.post('/users').send({ id: 'ada' }).expect(201));
    const given = await revisionOf(root.put('/users/ada/roles/loader').send({ reason: 'why' }).expect(201));
    const taken = await revisionOf(root.delete('/users/ada/roles/loader').expect(200));
    expect((await ask('ada', made)).body).toMatchObject({
      allowed: false,
      reason: 'not_granted',
      revision: made,
    });
    expect((await ask('ada', given)).body).toMatchObject({ allowed: true, revision: given });
    expect((await ask('ada', taken)).body).toMatchObject({ allowed: false, revision: taken });
    const { body } = await ask('ada', given);
    expect((await ask('ada', body.at)).status).toBe(200);
    const list = await root.get('/users/ada/permissions').query({ at: given }).expect(200);
    expect(list.body).toMatchObject({
      roles: expect.arrayContaining(['loader']),
      revision: given,
      at: body.at,
    });
    const why = await root
      .get('/users/ada/explain')
      .query({ at: given, permission: 'orders.load_order' })
      .expect(200);
    expect(why.body).toMatchObject({
      allowed: true,
      paths: [{ grant: { role: 'loader', origin: 'api', reason: 'why', grantedBy: 'root' } }],
    });
    const who = await root.get('/permissions/orders_load_order/users').query({ at: given }).expect(200);
    expect(who.body.data).toContainEqual(expect.objectContaining({ user: 'ada' }));
    const none = await root.get('/permissions/orders_load_order/users').query({ at: made }).expect(200);
    expect(none.body.data).not.toContainEqual(expect.objectContaining({ user: 'ada' }));
    const batch = { at: given, checks: [{ user: 'ada', permission: 'orders.load_order' }] };
    const both = await root.post('/authorize/batch').send(batch).expect(200);
    expect(both.body).toMatchObject({ results: [{ allowed: true }], revision: given, at: body.at });
  });

  test('is asked no more at once than the setting allows', async () => {
    const root = service.as();
    const at = await revisionOf(root.post('/users').send({ id: 'bo' }).expect(201));
    const set = async (value: number | null) => {
      const { headers } = await root.get('/settings/authorize_batch_limit').expect(200);
      const patch = root.patch('/settings/authorize_batch_limit').set('if-match', String(headers['etag']));
      await patch.send({ value }).expect(200);
    };
    const asked = (count: number) =>
      root.post('/authorize/batch').send({
        at,
        checks: Array.from({ length: count }, () => ({ user: 'bo', permission: 'orders.load_order' })),
      });
    await set(3);
    expect([(await asked(3)).status, (await asked(4)).body.code]).toEqual([200, 'invalid_input']);
    await set(null);
    await asked(4).expect(200);
  });

  test('judges starts and ends at that time, and says when the answer changed by itself', async () => {
    const root = service.as();
    await root.post('/users').send({ id: 'tim' }).expect(201);
    const startsAt = '2001-01-01T00:00:00.000Z';
    const given = await revisionOf(
      root.put('/users/tim/roles/loader').send({ startsAt, expiresAt: '2999-01-01T00:00:00Z' }),
    );
    const { body } = await root.get('/users/tim/permissions').query({ at: given }).expect(200);
    expect(body).toMatchObject({
      roles: expect.arrayContaining(['loader']),
      expiresAt: '2999-01-01T00:00:00.000Z',
    });
  });

  test.each([
    ['the future', '2999-01-01T00:00:00Z', 400, 'invalid_input'],
    ['before the beginning', '2000-01-01T00:00:00Z', 400, 'invalid_input'],
    ['no moment', 'yesterday', 400, 'invalid_input'],
    ['a revision of elsewhere', '0123456789ab-1', 400, 'invalid_revision'],
  ])('is refused for %s', async (_, at, status, code) => {
    const { body } = await ask('root', at).expect(status);
    expect(body.code).toBe(code);
    await service.as().get('/users/root/permissions').query({ at }).expect(status);
  });

  test('is asked with whatever offset a time may have', async () => {
    const { body: given } = await service.as().post('/users').send({ id: 'ole' }).expect(201);
    const { body: then } = await ask('ole', given.revision).expect(200);
    for (const hours of [16, 20, 23]) {
      const local = new Date(Date.parse(then.at) + hours * 3_600_000 + 1).toISOString().slice(0, -1);
      const { body } = await ask('ole', `${local}+${hours}:00`).expect(200);
      expect(body).toMatchObject({ reason: 'not_granted', revision: given.revision });
    }
  });

  test('is refused for a revision that is still to come', async () => {
    const { body: now } = await service.as().post('/authorize').send({ permission: 'orders.load_order' });
    const [epoch, value] = String(now.revision).split('-');
    const { body } = await ask('root', `${epoch}-${Number(value) + 1}`).expect(400);
    expect(body.detail).toMatch(/has not come yet/);
  });

  test('holds across a new epoch, with the tokens of the old one', async () => {
    const root = service.as();
    await root.post('/users').send({ id: 'eve' }).expect(201);
    const given = await revisionOf(root.put('/users/eve/roles/loader').expect(201));
    await service.runtime.epochs.declare(operatorCall(20_000));
    await root.delete('/users/eve/roles/loader').expect(200);
    expect((await ask('eve', given)).body).toMatchObject({ allowed: true, revision: given });
    const [epoch, value] = given.split('-');
    expect((await ask('eve', `${epoch}-${Number(value) + 1}`)).body.code).toBe('lost_history');
  });

  test('knows a permission that was retired since, and not before it was registered', async () => {
    const root = service.as();
    const before = await revisionOf(root.post('/users').send({ id: 'rey' }).expect(201));
    await root.post('/permissions').send({ permission: 'shop.open' }).expect(201);
    await root.put('/users/rey/permissions/shop_open').send({ effect: 'allow' }).expect(201);
    const given = await revisionOf(root.get('/users/rey/permissions'));
    await root.delete('/permissions/shop_open').expect(200);
    expect((await ask('rey', given, 'shop.open')).body).toMatchObject({ allowed: true });
    expect((await ask('rey', before, 'shop.open')).body).toMatchObject({ reason: 'unknown_permission' });
    await root.get('/permissions/shop_open/users').query({ at: before }).expect(404);
    const { body } = await root.get('/permissions/shop_open/users').query({ at: given }).expect(200);
    expect(body.data).toMatchObject([{ user: 'rey', via: [{ role: null }] }]);
  });

  test('of somebody erased is known to nobody by id, and without a name among those who could', async () => {
    const root = service.as();
    await root.post('/users').send({ id: 'zoe' }).expect(201);
    const given = await revisionOf(root.put('/users/zoe/roles/accountant').expect(201));
    await root.post('/users/zoe/erase').expect(200);
    expect((await ask('zoe', given, 'orders.view_prices')).body).toMatchObject({ reason: 'unknown_user' });
    const { body } = await root.get('/permissions/orders_view_prices/users').query({ at: given }).expect(200);
    expect(body.data).toContainEqual(
      expect.objectContaining({ user: null, via: [expect.objectContaining({ role: 'accountant' })] }),
    );
  });

  test('is about whoever had the id then: nobody asks about another as about themselves (1.11)', async () => {
    const root = service.as();
    await root.post('/users').send({ id: 'kim' }).expect(201);
    const given = await revisionOf(root.put('/users/kim/roles/loader').expect(201));
    await root.delete('/users/kim').expect(200);
    const key = await service.keyFor('kim');
    await ask('kim', given, 'orders.load_order', key).expect(403);
    await service.as(key).get('/me/permissions').query({ at: given }).expect(403);
    await service
      .as(key)
      .get('/users/kim/explain')
      .query({ at: given, permission: 'orders.load_order' })
      .expect(403);
    const own = await revisionOf(service.as(key).get('/me/permissions').expect(200));
    const { body } = await service.as(key).get('/me/permissions').query({ at: own }).expect(200);
    expect(body).toMatchObject({ user: 'kim', permissions: [] });
  });

  test('is answered for the credential where it is asked about the caller, as now', async () => {
    const root = service.as();
    const key = async (terms: object) =>
      (
        await root
          .post('/keys')
          .send({ user: 'kay', name: 'x', ...terms })
          .expect(201)
      ).body.key as string;
    await service.keyFor('kay', 'manager');
    await root.put('/users/kay/roles/loader').send({ expiresAt: '2999-01-01T00:00:00Z' }).expect(201);
    const at = await revisionOf(root.get('/users/kay/permissions').expect(200));
    const narrowed = await key({ permissions: ['orders.view_order', 'rolecall.check'] });
    const mine = await service.as(narrowed).get('/me/permissions').query({ at }).expect(200);
    expect(mine.body).toMatchObject({ user: 'kay', permissions: ['orders_view_order'], roles: [] });
    expect(mine.body.expiresAt).toBeNull();
    const checks = [
      { permission: 'orders.view_order' },
      { permission: 'orders.cancel_order' },
      { user: 'kay', permission: 'orders.cancel_order' },
    ];
    for (const moment of [undefined, at]) {
      const { body } = await service
        .as(narrowed)
        .post('/authorize/batch')
        .send({ at: moment, checks })
        .expect(200);
      expect(body.results).toMatchObject([
        { allowed: true },
        { allowed: false, reason: 'not_granted' },
        { allowed: true },
      ]);
    }
    const one = { permission: 'orders.cancel_order', at };
    expect((await service.as(narrowed).post('/authorize').send(one)).body).toMatchObject({ allowed: false });
    const inNorth = await key({ scope: 'north' });
    await service.as(inNorth).get('/me/permissions').query({ at }).expect(403);
    const there = await service.as(inNorth).get('/me/permissions').query({ at, scope: 'north' }).expect(200);
    expect(there.body.permissions).toContain('orders_cancel_order');
  });

  test('is answered for both, where somebody acts for the caller', async () => {
    const root = service.as();
    const backend = await service.keyFor('bea', 'viewer');
    await root.post('/users').send({ id: 'max' }).expect(201);
    await root.put('/users/max/roles/manager').expect(201);
    const before = await revisionOf(root.get('/users/max/permissions').expect(200));
    const may = { effect: 'allow' };
    const at = await revisionOf(root.put('/users/bea/permissions/rolecall_act_for').send(may).expect(201));
    const as = () => service.as(backend).set('rolecall-act-for', 'max');
    const now = (await as().get('/me/permissions').expect(200)).body;
    expect(now.permissions).toContain('orders_view_order');
    const then = (await as().get('/me/permissions').query({ at }).expect(200)).body;
    expect(then).toMatchObject({ user: 'max', permissions: now.permissions, roles: [] });
    for (const permission of ['orders.view_order', 'orders.cancel_order']) {
      const { body } = await as().post('/authorize').send({ permission, at }).expect(200);
      expect(body.allowed).toBe(permission === 'orders.view_order');
    }
    // Nobody could act for anybody then.
    const { body } = await as().get('/me/permissions').query({ at: before }).expect(200);
    expect(body.permissions).toEqual([]);
  });

  test('needs what asking now needs', async () => {
    const key = await service.keyFor('lea');
    const now = await revisionOf(service.as(key).get('/me/permissions').expect(200));
    await ask('root', now, 'orders.load_order', key).expect(403);
    await service.as(key).get('/users/root/permissions').query({ at: now }).expect(403);
    await service.as(key).get('/permissions/orders_load_order/users').query({ at: now }).expect(403);
    await service
      .as(key)
      .get('/users/root/explain')
      .query({ at: now, permission: 'orders.load_order' })
      .expect(403);
  });
});
