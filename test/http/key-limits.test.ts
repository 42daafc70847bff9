import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let made = 0;

beforeAll(async () => {
  service = await startTestService();
  await service.as().post('/roles').send({ key: 'keeper', name: 'Keeper' }).expect(201);
  for (const action of ['manage_keys', 'read_keys', 'check', 'read_users'])
    await service.as().put(`/roles/keeper/permissions/rolecall_${action}`).expect(200);
});
afterAll(() => service.close());

/** A new user with roles, each `role` or `role@scope`. */
async function newUser(...grants: readonly string[]): Promise<string> {
  const id = `user-${++made}`;
  await service.as().post('/users').send({ id }).expect(201);
  for (const grant of grants) {
    const [role, scope = ''] = grant.split('@');
    await service.as().put(`/users/${id}/roles/${role}`).query({ scope }).expect(201);
  }
  return id;
}

interface Made {
  readonly id: string;
  readonly key: string;
}

async function keyOf(user: string, terms: object = {}): Promise<Made> {
  const { body } = await service
    .as()
    .post('/keys')
    .send({ user, name: 'x', ...terms })
    .expect(201);
  return body;
}

describe('a key with a scope', () => {
  const inAcme = { scope: 'org/acme' };

  test('works there and below, and nowhere else, whatever its user has', async () => {
    const { key } = await keyOf(await newUser('admin'), inAcme);
    const ask = (scope: string) =>
      service.as(key).post('/authorize').send({ user: 'root', permission: 'orders.view_order', scope });
    for (const scope of ['org/acme', 'org/acme/billing']) expect((await ask(scope)).status, scope).toBe(200);
    for (const scope of ['', 'org', 'org/acmes', 'org/ac', 'habits'])
      expect((await ask(scope)).body, scope).toMatchObject({ status: 403, code: 'forbidden' });
    expect((await service.as(key).post('/users').send({ id: 'elsewhere' })).body.code).toBe('forbidden');
    const user = await newUser();
    await service.as(key).put(`/users/${user}/roles/loader?scope=org/acme/billing`).expect(201);
    expect((await service.as(key).put(`/users/${user}/roles/loader?scope=org`)).body.code).toBe('forbidden');
  });

  test('asks about its own user there only, and is told where it may do what', async () => {
    const user = await newUser('manager', 'loader@org/acme/north');
    const { key } = await keyOf(user, inAcme);
    for (const path of ['/me/permissions', `/users/${user}/permissions`]) {
      await service.as(key).get(path).query({ scope: 'org/acme/north' }).expect(200);
      for (const scope of ['', 'org', 'habits'])
        expect((await service.as(key).get(path).query({ scope })).body.code, path).toBe('forbidden');
    }
    const explained = service.as(key).get(`/users/${user}/explain?permission=orders.view_order`);
    expect((await explained).body.code).toBe('forbidden');
    const own = { permission: 'orders.view_order' };
    expect((await service.as(key).post('/authorize').send(own)).body.code).toBe('forbidden');
    expect(
      (
        await service
          .as(key)
          .post('/authorize')
          .send({ ...own, ...inAcme })
      ).body.allowed,
    ).toBe(true);
    const batch = { checks: [{ ...own, ...inAcme }, own] };
    expect((await service.as(key).post('/authorize/batch').send(batch)).body.code).toBe('forbidden');
    const scopes = await service.as(key).get('/me/scopes').query(own);
    expect(scopes.body).toMatchObject({ scopes: ['org/acme'] });
    const anything = await service.as(key).get('/me/scopes');
    expect(anything.body).toMatchObject({ scopes: ['org/acme', 'org/acme/north'] });
    expect((await service.as(key).get(`/users/${user}/scopes`)).body.scopes).toEqual(['org/acme']);
  });

  test('of whoever manages keys in a scope stays in that scope, and what they see of keys too', async () => {
    const keeper = await keyOf(await newUser('keeper@org/acme'));
    const user = await newUser();
    const terms = { user, name: 'x', permissions: ['rolecall.check'] };
    const as = () => service.as(keeper.key);
    for (const scope of [undefined, 'org', 'org/acmes', 'habits'])
      expect(
        (
          await as()
            .post('/keys')
            .send({ ...terms, scope })
        ).body.code,
      ).toBe('forbidden');
    const below = await as()
      .post('/keys')
      .send({ ...terms, scope: 'org/acme/north' })
      .expect(201);
    const outside = await keyOf(user, { scope: 'org' });
    const listed = await as().get('/keys').query({ user }).expect(200);
    expectContract(listed, 'GET', '/keys');
    expect(listed.body.data.map(({ id }: Made) => id)).toEqual([below.body.id]);
    expect((await as().delete(`/keys/${outside.id}`)).body.code).toBe('forbidden');
    expect((await as().post(`/keys/${outside.id}/rotate`)).body.code).toBe('forbidden');
    await as().post(`/keys/${below.body.id}/rotate`).expect(201);
    await as().delete(`/keys/${below.body.id}`).expect(200);
  });

  test('is refused with a scope that is none', async () => {
    const refused = await service
      .as()
      .post('/keys')
      .send({ user: await newUser(), name: 'x', scope: 'a//b' });
    expect(refused.body).toMatchObject({ status: 400, errors: [{ pointer: '/scope' }] });
  });
});

describe('what is asked about the caller', () => {
  test('is answered for the credential, and what is asked about its user for the user (A-03)', async () => {
    const user = await newUser('manager');
    const { key } = await keyOf(user, { permissions: ['orders.view_order', 'rolecall.check'] });
    const as = () => service.as(key);
    const mine = await as().get('/me/permissions').expect(200);
    expectContract(mine, 'GET', '/me/permissions');
    expect(mine.body).toMatchObject({ user, permissions: ['orders_view_order'], roles: [] });
    const whole = await as().get(`/users/${user}/permissions`).expect(200);
    expect(whole.body.permissions.length).toBeGreaterThan(20);
    expect(whole.headers['etag']).not.toBe(mine.headers['etag']);
    const ask = async (question: object) => (await as().post('/authorize').send(question).expect(200)).body;
    expect(await ask({ permission: 'orders.view_order' })).toMatchObject({ allowed: true });
    expect(await ask({ permission: 'orders.cancel_order' })).toMatchObject({
      allowed: false,
      reason: 'not_granted',
    });
    expect(await ask({ user, permission: 'orders.cancel_order' })).toMatchObject({ allowed: true });
    const batch = await as()
      .post('/authorize/batch')
      .send({ checks: [{ permission: 'orders.cancel_order' }, { user, permission: 'orders.cancel_order' }] })
      .expect(200);
    expect(batch.body.results.map(({ allowed }: { allowed: boolean }) => allowed)).toEqual([false, true]);
    const scopes = async (permission: string) =>
      (await as().get('/me/scopes').query({ permission }).expect(200)).body.scopes;
    expect(await scopes('orders.view_order')).toEqual(['']);
    expect(await scopes('orders.cancel_order')).toEqual([]);
  });

  test('says until when that is so, and not when what the credential leaves out changes', async () => {
    const give = (user: string, what: string, terms: object) =>
      service.as().put(`/users/${user}/${what}`).send(terms).expect(201);
    const until = (year: number) => ({ expiresAt: `${year}-01-01T00:00:00.000Z` });
    const [user, other] = [await newUser('viewer'), await newUser('loader')];
    await give(user, 'roles/loader', until(2999));
    await give(user, 'permissions/rolecall_act_for', { effect: 'allow' });
    await give(other, 'roles/accountant', until(2998));
    const endOf = async (permission: string, actingFor?: string) => {
      const { key } = await keyOf(user, { permissions: [permission, 'rolecall.act_for'] });
      const as = service.as(key);
      if (actingFor !== undefined) as.set('rolecall-act-for', actingFor);
      return (await as.get('/me/permissions').expect(200)).body.expiresAt;
    };
    // Loaders may do this as viewers may, so that it stays; and that as nobody else.
    expect(await endOf('documents.view_document')).toBeNull();
    expect(await endOf('orders.load_order')).toBe(until(2999).expiresAt);
    // What both have until one of them has not.
    expect(await endOf('documents.view_document', other)).toBeNull();
    expect(await endOf('orders.load_order', other)).toBe(until(2999).expiresAt);
    expect(await endOf('customers.view_customer', other)).toBe(until(2998).expiresAt);
  });
});

describe('a key without a list of permissions', () => {
  test('for somebody else needs rolecall_escalate: it would grow with them (A-09)', async () => {
    const { key: keeper } = await keyOf(await newUser('keeper', 'manager'));
    const nobodyYet = await newUser();
    const refused = await service.as(keeper).post('/keys').send({ user: nobodyYet, name: 'x' });
    expect(refused.body).toMatchObject({ status: 403, code: 'exceeds_own_access' });
    expect(refused.body.detail).toContain('rolecall_escalate');
    // What is on a list counts, though its user has none of it yet.
    const beyond = { user: nobodyYet, name: 'x', permissions: ['rolecall.grant_roles'] };
    expect((await service.as(keeper).post('/keys').send(beyond)).body.code).toBe('exceeds_own_access');
    const within = { ...beyond, permissions: ['orders.view_order'] };
    await service.as(keeper).post('/keys').send(within).expect(201);
  });

  test('for oneself is made by a whole credential only', async () => {
    const user = await newUser('keeper');
    const mine = { user, name: 'mine' };
    const { key } = await keyOf(user, { permissions: ['rolecall.manage_keys'] });
    expect((await service.as(key).post('/keys').send(mine)).body.code).toBe('exceeds_own_access');
    const { key: whole } = await keyOf(user);
    await service.as(whole).post('/keys').send(mine).expect(201);
    const { key: inAcme } = await keyOf(user, { scope: 'org/acme' });
    expect((await service.as(inAcme).post('/keys').send(mine)).body.code).toBe('forbidden');
    await service
      .as(inAcme)
      .post('/keys')
      .send({ ...mine, scope: 'org/acme/north' })
      .expect(201);
  });

  test('rotates like one that is made', async () => {
    const { key: keeper } = await keyOf(await newUser('keeper'));
    const { id } = await keyOf(await newUser());
    const refused = await service.as(keeper).post(`/keys/${id}/rotate`);
    expect(refused.body).toMatchObject({ status: 403, code: 'exceeds_own_access' });
  });
});
