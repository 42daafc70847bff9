import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function create(body: object) {
  const response = await service.as().post('/users').send(body);
  expectContract(response, 'POST', '/users');
  return response;
}

async function change(id: string, body: object) {
  const response = await service
    .as()
    .patch(`/users/${encodeURIComponent(id)}`)
    .send(body);
  expectContract(response, 'PATCH', '/users/{user}');
  return response;
}

async function read(id: string) {
  const response = await service.as().get(`/users/${encodeURIComponent(id)}`);
  expectContract(response, 'GET', '/users/{user}');
  return response;
}

async function list(query: object): Promise<{ ids: string[]; nextCursor: string | null }> {
  const response = await service.as().get('/users').query(query).expect(200);
  expectContract(response, 'GET', '/users');
  return {
    ids: response.body.data.map(({ id }: { id: string }) => id),
    nextCursor: response.body.nextCursor,
  };
}

describe('making a user', () => {
  test('answers with the user, and a second one of the same id is refused', async () => {
    const made = await create({ id: 'maria', email: 'maria@example.com' });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      changed: true,
      user: { id: 'maria', email: 'maria@example.com', active: true, identities: [] },
    });
    expect((await read('maria')).body).toEqual(made.body.user);
    expect((await create({ id: 'maria' })).body).toMatchObject({ status: 409, code: 'user_exists' });
  });

  test('without an id makes a UUIDv7, each time another', async () => {
    const ids = [await create({}), await create({ email: null })].map(({ body }) => body.user.id);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(ids).size).toBe(2);
  });

  test('can make one that is not active yet', async () => {
    expect((await create({ id: 'later', active: false })).body.user.active).toBe(false);
  });

  test('compares ids byte by byte: case, accents, width and marks make other people', async () => {
    const ids = [
      'Ann',
      'ann',
      'ann ',
      'ånn',
      'a\u030ann',
      'ａnn',
      'аnn',
      'an\u200dn',
      'ann\u202e',
      'ANN',
      'ßen',
      'ẞen',
    ];
    for (const id of ids) expect((await create({ id })).status, JSON.stringify(id)).toBe(201);
    for (const id of ids) expect((await read(id)).body.id).toBe(id);
  });

  test.for([
    'auth0|x/y@z',
    '__proto__',
    'constructor',
    'me',
    'a?b#c%d&e',
    '"\'; drop table users; --',
    '%2e%2e',
    '/',
    '\\',
    '😀'.repeat(255),
  ])('takes any id of 1 to 255 characters and finds it again: %s', async (id) => {
    expect((await create({ id })).body.user.id).toBe(id);
    expect((await read(id)).body.id).toBe(id);
    expect((await list({ idPrefix: id })).ids).toEqual([id]);
    expect((await change(id, { active: false })).body.user).toMatchObject({ id, active: false });
    expect((await service.as().delete(`/users/${encodeURIComponent(id)}`)).body).toMatchObject({ user: id });
  });

  test('refuses ids that are none, with the place', async () => {
    for (const id of ['', '.', '..', 'a\nb', 'a\u007f', '😀'.repeat(256), 7, null, ['maria'], true])
      expect((await create({ id })).body).toMatchObject({ status: 400, errors: [{ pointer: '/id' }] });
  });

  test('takes nothing that is not for the caller to say', async () => {
    for (const member of [
      'tenant_id',
      'is_admin',
      'roles',
      'created_by',
      'createdAt',
      'pk',
      'identities',
      'constructor',
    ])
      expect((await create({ id: 'mallory', [member]: 'x' })).body.errors).toMatchObject([
        { pointer: `/${member}`, code: 'unknown_member' },
      ]);
    expect((await change('root', { id: 'other' })).body.errors).toMatchObject([{ pointer: '/id' }]);
    expect((await read('mallory')).body.code).toBe('unknown_user');
  });
});

describe('an e-mail address', () => {
  test('is one whatever its case and the space around it (3.2)', async () => {
    expect((await create({ id: 'a1', email: ' Anna@Example.com ' })).body.user.email).toBe(
      'anna@example.com',
    );
    for (const email of ['anna@example.com', 'ANNA@EXAMPLE.COM', 'anna@example.com\t'])
      expect((await create({ id: 'a2', email })).body).toMatchObject({ status: 409, code: 'email_taken' });
    expect((await list({ email: 'ANNA@example.com' })).ids).toEqual(['a1']);
  });

  test('is refused where letters only look like ASCII (3.2)', async () => {
    const lookalikes = [
      'а@example.com',
      'anna@exаmple.com',
      'anna＠example.com',
      'ａ@example.com',
      'anna@\u0130.com',
    ];
    for (const email of [...lookalikes, '\u212aate@example.com', 'anna@boo\u212a.com'])
      expect((await create({ id: 'a3', email })).body, JSON.stringify(email)).toMatchObject({
        status: 400,
        errors: [{ pointer: '/email' }],
      });
  });

  test('has a name, an @ and a domain, and at most 254 characters', async () => {
    for (const email of ['', 'anna', '@x', 'anna@', 'an na@x', 'a@b@c', `${'a'.repeat(250)}@x.org`, 5])
      expect((await create({ id: 'a4', email })).body).toMatchObject({
        status: 400,
        errors: [{ pointer: '/email' }],
      });
    const longest = `${'a'.repeat(248)}@x.org`;
    expect((await create({ id: 'a5', email: longest })).body.user.email).toBe(longest);
  });

  test('can be changed and left, not taken from another', async () => {
    await create({ id: 'e1', email: 'e1@example.com' });
    await create({ id: 'e2', email: 'e2@example.com' });
    expect((await change('e2', { email: 'E1@example.com' })).body.code).toBe('email_taken');
    expect((await change('e1', { email: null })).body.user.email).toBeNull();
    expect((await change('e2', { email: 'e1@example.com' })).body.user.email).toBe('e1@example.com');
  });
});

describe('changing a user', () => {
  test('to what they are changes nothing', async () => {
    const made = await create({ id: 'same', email: 'same@example.com' });
    for (const body of [{}, { active: true }, { email: 'SAME@example.com' }])
      expect((await change('same', body)).body).toMatchObject({
        changed: false,
        revision: made.body.revision,
      });
  });

  test('who is unknown is 404, without suggesting who exists', async () => {
    const unknown = await change('rooot', { active: false });
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_user' });
    expect(unknown.body).not.toHaveProperty('didYouMean');
  });

  test('to inactive denies at once and keeps the grants; active again has them back (4.9)', async () => {
    const key = await service.keyFor('dana', 'loader');
    const allowed = async () =>
      (await service.as().post('/authorize').send({ user: 'dana', permission: 'orders.load_order' })).body
        .allowed;
    await change('dana', { active: false });
    expect(await allowed()).toBe(false);
    expect((await service.as(key).get('/me/permissions')).status).toBe(401);
    expect((await service.as().get('/users/dana/roles')).body.data).toHaveLength(1);
    await change('dana', { active: true });
    expect(await allowed()).toBe(true);
    expect((await service.as(key).get('/me/permissions')).status).toBe(200);
  });

  test('does not coerce', async () => {
    for (const active of ['false', 0, null, []])
      expect((await change('root', { active })).body.errors).toMatchObject([{ pointer: '/active' }]);
  });
});

describe('deleting a user', () => {
  test('ends all they had; somebody new of the same id gets none of it, and the record stays (A-08)', async () => {
    const key = await service.keyFor('hugo', 'loader');
    const exception = { effect: 'allow' };
    await service.as().put('/users/hugo/permissions/orders_view_prices').send(exception).expect(201);
    await service.as().put('/users/hugo/identities').send({ issuer: 'idp', subject: 'hugo' }).expect(200);
    const deleted = await service.as().delete('/users/hugo');
    expectContract(deleted, 'DELETE', '/users/{user}');
    expect(deleted.body).toMatchObject({ user: 'hugo', changed: true });
    expect((await read('hugo')).status).toBe(404);
    expect((await service.as(key).get('/me/permissions')).status).toBe(401);

    await create({ id: 'hugo' });
    const { body } = await service.as().get('/users/hugo/permissions').expect(200);
    expect(body).toMatchObject({ permissions: [], roles: [] });
    expect((await service.as(key).get('/me/permissions')).status).toBe(401);
    await create({ id: 'hugo2' });
    await service.as().put('/users/hugo2/identities').send({ issuer: 'idp', subject: 'hugo' }).expect(200);

    const sql = postgres(service.database.url, { max: 1 });
    const kinds = await sql<{ kind: string }[]>`
      select kind from rolecall.journal where user_pk = (
        select user_pk from rolecall.personal where field = 'id' and value = 'hugo' order by revision limit 1)
      order by revision, number`;
    await sql.end();
    expect(kinds.map(({ kind }) => kind)).toEqual([
      'user_created',
      'grant_set',
      'key_created',
      'exception_set',
      'identity_linked',
      'grant_removed',
      'exception_removed',
      'identity_unlinked',
      'key_revoked',
      'user_deleted',
    ]);
  });

  test('twice is 404', async () => {
    await create({ id: 'once' });
    await service.as().delete('/users/once').expect(200);
    const again = await service.as().delete('/users/once');
    expectContract(again, 'DELETE', '/users/{user}');
    expect(again.body.code).toBe('unknown_user');
  });
});

describe('an identity', () => {
  const link = async (id: string, identity: object) => {
    const response = await service.as().put(`/users/${id}/identities`).send(identity);
    expectContract(response, 'PUT', '/users/{user}/identities');
    return response;
  };
  const unlink = async (id: string, identity: object) => {
    const response = await service.as().delete(`/users/${id}/identities`).send(identity);
    expectContract(response, 'DELETE', '/users/{user}/identities');
    return response;
  };

  test('is a pair: the same subject of another issuer is another (4.1)', async () => {
    for (const id of ['ida', 'ilse']) await create({ id });
    expect((await link('ida', { issuer: 'https://one/', subject: '42' })).body).toMatchObject({
      changed: true,
    });
    expect((await link('ilse', { issuer: 'https://two/', subject: '42' })).body.changed).toBe(true);
    expect((await link('ilse', { issuer: 'https://one/', subject: '42' })).body.code).toBe('identity_taken');
    expect((await link('ilse', { issuer: 'https://One/', subject: '42' })).body.changed).toBe(true);
    expect((await read('ilse')).body.identities).toEqual([
      { issuer: 'https://One/', subject: '42' },
      { issuer: 'https://two/', subject: '42' },
    ]);
  });

  test('linked or unlinked twice changes nothing', async () => {
    await create({ id: 'ines' });
    const identity = { issuer: 'https://one/', subject: 'ines' };
    const linked = await link('ines', identity);
    expect((await link('ines', identity)).body).toMatchObject({
      changed: false,
      revision: linked.body.revision,
    });
    expect((await unlink('ines', identity)).body).toMatchObject({ changed: true, user: { identities: [] } });
    expect((await unlink('ines', identity)).body.changed).toBe(false);
  });

  test('of somebody else is not unlinked', async () => {
    for (const id of ['iris', 'ivo']) await create({ id });
    const identity = { issuer: 'https://one/', subject: 'iris' };
    await link('iris', identity);
    expect((await unlink('ivo', identity)).body.changed).toBe(false);
    expect((await read('iris')).body.identities).toEqual([identity]);
  });

  test('counts characters, not code units', async () => {
    await create({ id: 'inge' });
    const longest = { issuer: '😀'.repeat(255), subject: '😀'.repeat(255) };
    expect((await link('inge', longest)).body.user.identities).toEqual([longest]);
    for (const fault of [{ subject: '' }, { issuer: '' }, { subject: '😀'.repeat(256) }, { subject: 42 }])
      expect((await link('inge', { ...longest, ...fault })).status).toBe(400);
  });
});

describe('the list', () => {
  test.for([1, 2, 7, 200])(
    'has everybody once, bytewise, by pages of %i, while others come and go',
    async (limit) => {
      const ids = ['-b', '-a', '-B', '-é', '-z', '-😀', '-a-', '-a_'].map((end) => `p${limit}${end}`);
      for (const id of ids) await create({ id });
      const seen: string[] = [];
      let after: string | null = '';
      for (let round = 0; after !== null; round += 1) {
        const page = await list({ idPrefix: `p${limit}-`, limit, ...(after ? { after } : {}) });
        seen.push(...page.ids);
        after = page.nextCursor;
        await create({ id: `p${limit}-\u0021${round}` });
      }
      const expected = ['-B', '-a', '-a-', '-a_', '-b', '-z', '-é', '-😀'].map((end) => `p${limit}${end}`);
      expect(seen).toEqual(expected);
    },
  );

  test('finds a prefix as it is written: % and _ are letters like others (N-05)', async () => {
    for (const id of ['user_read', 'userXread', 'user%read', 'user\\read']) await create({ id });
    expect((await list({ idPrefix: 'user_' })).ids).toEqual(['user_read']);
    expect((await list({ idPrefix: 'user%' })).ids).toEqual(['user%read']);
    expect((await list({ idPrefix: 'user\\' })).ids).toEqual(['user\\read']);
  });

  test('can be limited to who is active, or is not', async () => {
    await create({ id: 'q-on' });
    await create({ id: 'q-off', active: false });
    expect((await list({ idPrefix: 'q-', active: 'true' })).ids).toEqual(['q-on']);
    expect((await list({ idPrefix: 'q-', active: 'false' })).ids).toEqual(['q-off']);
    expect((await list({ idPrefix: 'q-' })).ids).toEqual(['q-off', 'q-on']);
    expect((await service.as().get('/users?active=1')).body.errors).toMatchObject([
      { pointer: '/query/active' },
    ]);
  });

  test('a cursor with other filters is refused', async () => {
    for (const id of ['c-1', 'c-2', 'c-3']) await create({ id });
    const { nextCursor: after } = await list({ idPrefix: 'c-', limit: 1 });
    expect((await list({ idPrefix: 'c-', limit: 2, after })).ids).toEqual(['c-2', 'c-3']);
    for (const query of [{ after }, { idPrefix: 'c', after }, { idPrefix: 'c-', active: 'true', after }]) {
      const refused = await service.as().get('/users').query(query);
      expectContract(refused, 'GET', '/users');
      expect(refused.body).toMatchObject({ status: 400, code: 'invalid_cursor' });
    }
  });
});
