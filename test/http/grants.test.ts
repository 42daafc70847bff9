import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const path = '/users/{user}/roles/{role}';
const loads = [
  'documents_view_document',
  'orders_load_order',
  'orders_view_order',
  'users_change_profile',
  'users_view_profile',
];

async function grant(place: string, terms?: object) {
  const response = await service.as().put(`/users/${place}`).send(terms);
  expectContract(response, 'PUT', path);
  return response;
}

async function revoke(place: string) {
  const response = await service.as().delete(`/users/${place}`);
  expectContract(response, 'DELETE', path);
  return response;
}

async function newUser(id: string): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
}

async function grantsOf(id: string): Promise<Record<string, unknown>[]> {
  const response = await service.as().get(`/users/${id}/roles`);
  expectContract(response, 'GET', '/users/{user}/roles');
  return response.body.data;
}

describe('giving a role', () => {
  test('answers with the grant, what it gave and what the user now has', async () => {
    await newUser('nils');
    const granted = await grant('nils/roles/loader', {
      reason: 'stock-taking',
      expiresAt: '2099-01-31T12:00:00Z',
    });
    expect(granted.status).toBe(201);
    expect(granted.body).toMatchObject({
      user: 'nils',
      changed: true,
      permissions: loads,
      gained: loads,
      lost: [],
      grant: {
        user: 'nils',
        role: 'loader',
        scope: '',
        origin: 'api',
        startsAt: null,
        expiresAt: '2099-01-31T12:00:00.000Z',
        reason: 'stock-taking',
        grantedBy: 'root',
      },
    });
    expect(await grantsOf('nils')).toEqual([granted.body.grant]);
  });

  test('twice changes nothing and takes no revision', async () => {
    await newUser('nele');
    const first = await grant('nele/roles/loader?scope=north', { reason: 'once' });
    const again = await grant('nele/roles/loader?scope=north', { reason: 'once' });
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ changed: false, gained: [], lost: [], revision: first.body.revision });
    expect(again.body.grant).toEqual(first.body.grant);
  });

  test('says only what it added to what the user had', async () => {
    await newUser('nora');
    await grant('nora/roles/viewer');
    const { body } = await grant('nora/roles/loader');
    expect(body.gained).toEqual(['orders_load_order']);
    expect(body.permissions).toContain('customers_view_customer');
    expect((await grant('nora/roles/user')).body).toMatchObject({ changed: true, gained: [] });
  });

  test('again with other terms gives the one grant new terms', async () => {
    await newUser('noah');
    const first = await grant('noah/roles/loader');
    const ended = await grant('noah/roles/loader', {
      startsAt: '2001-01-01T00:00:00Z',
      expiresAt: '2002-01-01T00:00:00Z',
    });
    expect(ended.status).toBe(200);
    expect(ended.body).toMatchObject({ changed: true, permissions: [], gained: [], lost: loads });
    expect(ended.body.revision).not.toBe(first.body.revision);
    const open = await grant('noah/roles/loader', { startsAt: null, expiresAt: null });
    expect(open.body).toMatchObject({ changed: true, gained: loads, lost: [] });
    expect(await grantsOf('noah')).toHaveLength(1);
  });

  test('to a system role is no change of that role', async () => {
    await newUser('nadja');
    expect((await grant('nadja/roles/viewer')).status).toBe(201);
  });

  test('needs no body, and null is none', async () => {
    await newUser('nuri');
    const empty = await service.as().put('/users/nuri/roles/loader').expect(201);
    const again = await service.as().put('/users/nuri/roles/loader').type('json').send('null').expect(200);
    expect(again.body).toMatchObject({ changed: false, revision: empty.body.revision });
  });

  test('in one scope is another grant than in another', async () => {
    await newUser('nika');
    for (const scope of ['', 'org', 'org/acme']) await grant(`nika/roles/loader?scope=${scope}`);
    expect((await grantsOf('nika')).map(({ scope }) => scope)).toEqual(['', 'org', 'org/acme']);
  });

  test('to an unknown user or of an unknown role is 404; only roles are suggested', async () => {
    await newUser('nino');
    const noUser = await grant('ninoo/roles/loader');
    expect(noUser.body).toMatchObject({ status: 404, code: 'unknown_user' });
    expect(noUser.body).not.toHaveProperty('didYouMean');
    const noRole = await grant('nino/roles/loadr');
    expect(noRole.body).toMatchObject({ status: 404, code: 'unknown_role', didYouMean: ['loader'] });
    const farFromAny = await grant('nino/roles/zzzzzzzzzz');
    expect(farFromAny.body).not.toHaveProperty('didYouMean');
  });

  test('on terms that are none is refused with their place', async () => {
    const newYear = '2030-01-01T00:00:00Z';
    const faults: readonly (readonly [string, object])[] = [
      ['/expiresAt', { startsAt: newYear, expiresAt: newYear }],
      ['/expiresAt', { startsAt: newYear, expiresAt: '2029-12-31T23:59:59Z' }],
      ['/expiresAt', { expiresAt: '2030-01-01' }],
      ['/expiresAt', { expiresAt: '2030-02-30T00:00:00Z' }],
      ['/expiresAt', { expiresAt: '2030-01-01T00:00:00' }],
      ['/expiresAt', { expiresAt: 1_893_456_000_000 }],
      ['/startsAt', { startsAt: 'now' }],
      ['/reason', { reason: 'x'.repeat(1_001) }],
      ['/reason', { reason: 'bell\u0007' }],
      ['/reason', { reason: ['x'] }],
      ['/scope', { scope: 'north' }],
      ['/grantedBy', { grantedBy: 'somebody' }],
    ];
    for (const [pointer, terms] of faults) {
      const refused = await grant('root/roles/loader', terms);
      expect(refused.body).toMatchObject({ status: 400, code: 'invalid_input', errors: [{ pointer }] });
    }
  });

  test('at a time beyond the calendar that the database keeps is refused, not a failure', async () => {
    for (const time of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00']) {
      const refused = await grant('root/roles/loader', { startsAt: time });
      expect(refused.body, time).toMatchObject({ status: 400, errors: [{ pointer: '/startsAt' }] });
    }
  });

  test('in what is no scope is refused', async () => {
    for (const scope of ['/org', 'org/', 'org//acme', 'org acme', 'örg', 'a'.repeat(256), 'org/*']) {
      const refused = await service.as().put('/users/root/roles/loader').query({ scope });
      expect(refused.body).toMatchObject({ status: 400, errors: [{ pointer: '/query/scope' }] });
    }
  });

  test('keeps the times it was given to the millisecond', async () => {
    await newUser('nico');
    const { body } = await grant('nico/roles/loader', {
      startsAt: '2096-02-29T23:59:59.999+14:00',
      expiresAt: '9999-12-31T23:59:59.999Z',
    });
    expect(body.grant).toMatchObject({
      startsAt: '2096-02-29T09:59:59.999Z',
      expiresAt: '9999-12-31T23:59:59.999Z',
    });
  });
});

describe('taking a role back', () => {
  test('answers with what was lost, and twice changes nothing', async () => {
    await newUser('olga');
    await grant('olga/roles/viewer');
    await grant('olga/roles/loader');
    const revoked = await revoke('olga/roles/loader');
    expect(revoked.body).toMatchObject({
      user: 'olga',
      changed: true,
      gained: [],
      lost: ['orders_load_order'],
    });
    expect(revoked.body.permissions).not.toContain('orders_load_order');
    const again = await revoke('olga/roles/loader');
    expect(again.body).toMatchObject({ changed: false, lost: [], revision: revoked.body.revision });
  });

  test('without a scope touches only the grant everywhere; with one only that very scope', async () => {
    await newUser('otto');
    for (const scope of ['', 'org', 'org/acme']) await grant(`otto/roles/loader?scope=${scope}`);
    await revoke('otto/roles/loader');
    expect((await grantsOf('otto')).map(({ scope }) => scope)).toEqual(['org', 'org/acme']);
    expect((await revoke('otto/roles/loader?scope=or')).body.changed).toBe(false);
    await revoke('otto/roles/loader?scope=org');
    expect((await grantsOf('otto')).map(({ scope }) => scope)).toEqual(['org/acme']);
  });

  test('denies at once, also under a scope below', async () => {
    await newUser('oona');
    await grant('oona/roles/loader?scope=org');
    const { revision } = (await revoke('oona/roles/loader?scope=org')).body;
    const question = { user: 'oona', permission: 'orders.load_order', scope: 'org/acme', atLeast: revision };
    const answer = await service.as().post('/authorize').send(question).expect(200);
    expect(answer.body).toMatchObject({ allowed: false, reason: 'not_granted' });
  });

  test('from an unknown user or of an unknown role is 404', async () => {
    expect((await revoke('nobody-at-all/roles/loader')).body.code).toBe('unknown_user');
    expect((await revoke('root/roles/loadr')).body.code).toBe('unknown_role');
  });
});

describe('the lists', () => {
  test('of a user names every grant, those that have ended or not begun too, with who gave it', async () => {
    await newUser('pia');
    const past = { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    await grant('pia/roles/manager', { startsAt: '2098-01-01T00:00:00Z' });
    await grant('pia/roles/loader?scope=south', past);
    await grant('pia/roles/loader?scope=north');
    const list = await grantsOf('pia');
    expect(list.map(({ role, scope }) => `${role} ${scope}`)).toEqual([
      'loader north',
      'loader south',
      'manager ',
    ]);
    const missing = await service.as().get('/users/nobody-at-all/roles');
    expectContract(missing, 'GET', '/users/{user}/roles');
    expect(missing.body.code).toBe('unknown_user');
  });

  test('still name who gave it after they are deleted', async () => {
    const key = await service.keyFor('quentin');
    await grant('quentin/roles/admin');
    await newUser('quirin');
    await service.as(key).put('/users/quirin/roles/loader').expect(201);
    await service.as().delete('/users/quentin').expect(200);
    expect(await grantsOf('quirin')).toMatchObject([{ role: 'loader', grantedBy: 'quentin' }]);
  });

  test.for([1, 2, 3, 200])('of who holds a role has everybody once, by pages of %i', async (limit) => {
    const role = `crew-${limit}`;
    await service.as().post('/roles').send({ key: role, name: 'Crew' }).expect(201);
    const places = ['anna?scope=', 'anna?scope=b', 'Anna?scope=', 'ÿ?scope=', '😀?scope='].map(
      (place) => `${limit}-${place}`,
    );
    for (const place of places) {
      const [id = '', query = ''] = place.split('?');
      await service.as().post('/users').send({ id });
      await service
        .as()
        .put(`/users/${encodeURIComponent(id)}/roles/${role}?${query}`)
        .expect(201);
    }
    const seen: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await service
        .as()
        .get(`/roles/${role}/users`)
        .query({ limit, ...(after ? { after } : {}) });
      expectContract(page, 'GET', '/roles/{role}/users');
      expect(page.body.data.length).toBeLessThanOrEqual(limit);
      for (const held of page.body.data) seen.push(`${held.user}?scope=${held.scope}`);
      after = page.body.nextCursor;
    }
    // Bytewise, as everywhere: capitals before small letters, four-byte characters last.
    expect(seen).toEqual([2, 0, 1, 3, 4].map((index) => places[index]));
  });

  test('of holders go on where they were while others come and go', async () => {
    await service.as().post('/roles').send({ key: 'shift', name: 'Shift' }).expect(201);
    for (const id of ['r1', 'r2', 'r3', 'r4']) {
      await newUser(id);
      await grant(`${id}/roles/shift`);
    }
    const first = await service.as().get('/roles/shift/users?limit=2').expect(200);
    await revoke('r2/roles/shift');
    await newUser('r0');
    await grant('r0/roles/shift');
    const rest = await service
      .as()
      .get('/roles/shift/users')
      .query({ limit: 200, after: first.body.nextCursor });
    expect(rest.body.data.map(({ user }: { user: string }) => user)).toEqual(['r3', 'r4']);
  });

  test('a cursor fits the list it came from and nothing else', async () => {
    for (const role of ['deck', 'hold']) {
      await service.as().post('/roles').send({ key: role, name: role }).expect(201);
      for (const id of ['sam', 'sue']) {
        await service.as().post('/users').send({ id });
        await grant(`${id}/roles/${role}`);
      }
    }
    const { nextCursor } = (await service.as().get('/roles/deck/users?limit=1').expect(200)).body;
    const flipped = nextCursor.replace(/^./, (letter: string) => (letter === 'A' ? 'B' : 'A'));
    for (const [role, after] of [
      ['hold', nextCursor],
      ['deck', flipped],
      ['deck', nextCursor.slice(0, -4)],
      ['deck', 'garbage'],
      ['deck', ''],
    ]) {
      const refused = await service.as().get(`/roles/${role}/users`).query({ after });
      expectContract(refused, 'GET', '/roles/{role}/users');
      expect(refused.body, String(after)).toMatchObject({ status: 400, code: 'invalid_cursor' });
    }
  });

  test('a limit is a whole number from 1 to 200', async () => {
    for (const limit of ['0', '201', '-1', '1.5', '1e2', '0x10', '٣', '', '01', ' 1', '9'.repeat(30)]) {
      const refused = await service.as().get('/roles/loader/users').query({ limit });
      expect(refused.body).toMatchObject({ status: 400, errors: [{ pointer: '/query/limit' }] });
    }
  });
});
