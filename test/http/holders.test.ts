import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function newUser(id: string, ...roles: readonly string[]): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const place of roles) await service.as().put(`/users/${id}/roles/${place}`).expect(201);
}

async function whoCan(permission: string, query: object = {}, key?: string) {
  const response = await service.as(key).get(`/permissions/${permission}/users`).query(query);
  expectContract(response, 'GET', '/permissions/{permission}/users');
  return response;
}

async function whoHas(role: string, query: object = {}, key?: string) {
  const response = await service.as(key).get(`/roles/${role}/users`).query(query);
  expectContract(response, 'GET', '/roles/{role}/users');
  return response;
}

const usersIn = (body: { data: readonly { user: string }[] }) => body.data.map(({ user }) => user);

/** A role and a permission that nobody has yet; the role gives the permission. */
async function fresh(name: string): Promise<{ role: string; permission: string }> {
  await service
    .as()
    .post('/permissions')
    .send({ permission: `fresh.${name}` })
    .expect(201);
  await service.as().post('/roles').send({ key: name, name }).expect(201);
  await service.as().put(`/roles/${name}/permissions/fresh_${name}`).expect(200);
  return { role: name, permission: `fresh_${name}` };
}

describe('who may do something', () => {
  test('is told with what gives it to them, here and now', async () => {
    const { role, permission } = await fresh('weigh');
    await newUser('w1', `${role}?scope=org`, role);
    await newUser('w2');
    const until = '2097-03-01T12:00:00.000Z';
    await service
      .as()
      .put(`/users/w2/permissions/${permission}?scope=org/acme`)
      .send({ effect: 'allow', expiresAt: until })
      .expect(201);
    await newUser('w3', `${role}?scope=habits`);
    const { body } = await whoCan(`fresh.weigh`, { scope: 'org/acme/billing' });
    expect(body).toEqual({
      data: [
        {
          user: 'w1',
          via: expect.arrayContaining([
            { role, scope: 'org', expiresAt: null },
            { role, scope: '', expiresAt: null },
          ]),
          viaLeftOut: 0,
        },
        { user: 'w2', via: [{ role: null, scope: 'org/acme', expiresAt: until }], viaLeftOut: 0 },
      ],
      nextCursor: null,
      revision: expect.any(String),
    });
    expect(usersIn((await whoCan(permission)).body)).toEqual(['w1']);
  });

  test('leaves out whom an exception denies, who is inactive, and what is over or to come', async () => {
    const { role, permission } = await fresh('paint');
    for (const id of ['p1', 'p2', 'p3', 'p4', 'p5']) await newUser(id);
    for (const id of ['p1', 'p2', 'p3']) await service.as().put(`/users/${id}/roles/${role}`).expect(201);
    await service.as().put(`/users/p1/permissions/${permission}`).send({ effect: 'deny' }).expect(201);
    await service.as().patch('/users/p2').send({ active: false }).expect(200);
    const over = { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    await service.as().put(`/users/p4/roles/${role}`).send(over).expect(201);
    await service.as().put(`/users/p5/roles/${role}`).send({ startsAt: '2097-01-01T00:00:00Z' }).expect(201);
    expect(usersIn((await whoCan(permission)).body)).toEqual(['p3']);
  });

  test('follows a change of roles at once, of includes too', async () => {
    const { role, permission } = await fresh('sweep');
    await newUser('s1', 'loader');
    expect(usersIn((await whoCan(permission)).body)).toEqual([]);
    await service.as().put(`/roles/loader/includes/${role}`).expect(200);
    expect((await whoCan(permission)).body.data).toMatchObject([{ user: 's1', via: [{ role: 'loader' }] }]);
    await service.as().delete(`/roles/loader/includes/${role}`).expect(200);
    expect(usersIn((await whoCan(permission)).body)).toEqual([]);
  });

  test('of what is unknown or retired is 404, with what was probably meant', async () => {
    const near = await whoCan('orders_view_ordr');
    expect(near.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    expect(near.body.didYouMean).toContain('orders_view_order');
    await service.as().post('/permissions').send({ permission: 'fresh.gone' }).expect(201);
    await service.as().delete('/permissions/fresh_gone').expect(200);
    expect((await whoCan('fresh_gone')).body.code).toBe('unknown_permission');
  });

  test('is for whoever may see users in that scope', async () => {
    const key = await service.keyFor('rita');
    await service.as().put('/users/rita/roles/backend?scope=org').expect(201);
    expect((await whoCan('orders_view_order', { scope: 'org/acme' }, key)).status).toBe(200);
    expect((await whoCan('orders_view_order', {}, key)).body).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
  });
});

describe('who has a role', () => {
  test('is every grant of the role itself by default, in any scope or in one', async () => {
    const { role } = await fresh('stack');
    await newUser('t1', `${role}?scope=org`, `${role}?scope=habits`);
    await newUser('t2', role);
    const placesOf = (body: { data: readonly { user: string; scope: string }[] }) =>
      body.data.map(({ user, scope }) => `${user} ${scope}`);
    expect(placesOf((await whoHas(role)).body)).toEqual(['t1 habits', 't1 org', 't2 ']);
    expect(placesOf((await whoHas(role, { scope: 'org/acme' })).body)).toEqual(['t1 org', 't2 ']);
    expect(placesOf((await whoHas(role, { scope: '' })).body)).toEqual(['t2 ']);
  });

  test('effectively is by the role itself and by each that includes it, of active users, in force', async () => {
    const { role } = await fresh('lift');
    for (const key of ['lift-more', 'lift-most'])
      await service.as().post('/roles').send({ key, name: key }).expect(201);
    await service.as().put(`/roles/lift-more/includes/${role}`).expect(200);
    await service.as().put('/roles/lift-most/includes/lift-more').expect(200);
    await newUser('l1', 'lift-most?scope=org');
    await newUser('l2', role);
    await newUser('l3', role);
    await service.as().patch('/users/l3').send({ active: false }).expect(200);
    await newUser('l4');
    await service.as().put(`/users/l4/roles/${role}`).send({ startsAt: '2097-01-01T00:00:00Z' }).expect(201);
    const { body } = await whoHas(role, { effective: 'true', scope: 'org/acme' });
    expect(body.data).toMatchObject([
      { user: 'l1', role: 'lift-most', scope: 'org', grantedBy: 'root' },
      { user: 'l2', role, scope: '' },
    ]);
    expect(usersIn((await whoHas(role, { effective: 'true' })).body)).toEqual(['l2']);
    expect(usersIn((await whoHas(role, { effective: 'false' })).body)).toEqual(['l2', 'l3', 'l4']);
  });

  test('is asked about roles there are, with members there are', async () => {
    expect((await whoHas('no-such-role', { effective: 'true' })).body.code).toBe('unknown_role');
    for (const [query, pointer] of [
      [{ effective: 'yes' }, '/query/effective'],
      [{ effective: true, scope: 'a b' }, '/query/scope'],
      [{ permission: 'orders.view_order' }, '/query/permission'],
    ] as const)
      expect((await whoHas('admin', query)).body).toMatchObject({ status: 400, errors: [{ pointer }] });
  });
});

describe('pages of holders', () => {
  const lists = {
    'who can': (query: object) => whoCan('fresh_page', query),
    'who has': (query: object) => whoHas('page', { effective: 'true', ...query }),
  };
  beforeAll(async () => {
    await fresh('page');
    const sql = postgres(service.database.url, { max: 1 });
    await sql`insert into rolecall.users (id) select 'page ' || n from generate_series(1, 700) as n`;
    await sql`insert into rolecall.user_roles (user_pk, role_pk)
      select users.pk, roles.pk from rolecall.users, rolecall.roles
      where users.id like 'page %' and roles.key = 'page'`;
    // Long runs of people who do not count lie between those who do.
    await sql`update rolecall.users set active = false
      where id like 'page %' and split_part(id, ' ', 2)::int not in (1, 2, 300, 301, 302, 699, 700)`;
    await sql.end();
  });

  test.for(Object.keys(lists) as (keyof typeof lists)[])(
    'of %s have everybody once, while others come and go (D-10)',
    async (name) => {
      for (const limit of [1, 2, 7, 100]) {
        const seen: string[] = [];
        for (let after: string | undefined, turn = 0; ; turn += 1) {
          const { body } = await lists[name]({ limit, ...(after === undefined ? {} : { after }) });
          expect(body.data.length).toBeLessThanOrEqual(limit);
          seen.push(...usersIn(body));
          if (body.nextCursor === null) break;
          after = body.nextCursor;
          const id = `${name} ${limit} ${turn}`;
          await newUser(id, 'page');
          if (turn > 0)
            await service
              .as()
              .delete(`/users/${name} ${limit} ${turn - 1}`)
              .expect(200);
        }
        const throughout = seen.filter((user) => user.startsWith('page '));
        expect(throughout).toEqual([1, 2, 300, 301, 302, 699, 700].map((n) => `page ${n}`));
        expect(new Set(seen).size).toBe(seen.length);
      }
    },
  );

  test.for(Object.keys(lists) as (keyof typeof lists)[])(
    'of %s fit their own filters only, and cursors show nothing',
    async (name) => {
      const { body } = await lists[name]({ limit: 1 });
      const after: string = body.nextCursor;
      expect((await lists[name]({ after })).status).toBe(200);
      const others = Object.values(lists).filter((list) => list !== lists[name]);
      const elsewhere = [
        lists[name]({ after, scope: 'org' }),
        ...others.map((list) => list({ after })),
        whoHas('page', { after }),
        lists[name]({ after: `${after.slice(0, -2)}AA` }),
        lists[name]({ after: after.slice(0, 20) }),
        lists[name]({ after: '' }),
      ];
      for (const refused of await Promise.all(elsewhere))
        expect(refused.body).toMatchObject({ status: 400, code: 'invalid_cursor' });
      // The same place is never told the same way twice.
      expect((await lists[name]({ limit: 1 })).body.nextCursor).not.toBe(after);
    },
  );

  test('end early where 5,000 in a row do not count, and go on from there', async () => {
    const { role, permission } = await fresh('crowd');
    const sql = postgres(service.database.url, { max: 1 });
    await sql`insert into rolecall.users (id, active)
      select 'crowd ' || n, n > 5500 from generate_series(1, 5501) as n`;
    await sql`insert into rolecall.user_roles (user_pk, role_pk)
      select users.pk, roles.pk from rolecall.users, rolecall.roles
      where users.id like 'crowd %' and roles.key = ${role}`;
    await sql.end();
    for (const list of [
      (query: object) => whoCan(permission, query),
      (query: object) => whoHas(role, { effective: 'true', ...query }),
    ]) {
      const first = (await list({})).body;
      expect(first).toMatchObject({ data: [], nextCursor: expect.any(String) });
      const second = (await list({ after: first.nextCursor })).body;
      expect(second).toMatchObject({ data: [{ user: 'crowd 5501' }], nextCursor: null });
    }
  });
});
