import postgres from 'postgres';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { buildTenants, trespass, trespasses } from '../support/tenants.ts';

let service: TestService;
let sql: postgres.Sql;
/** Of whoever looks after acme. */
let key: string;

beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
  key = await buildTenants(service);
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

/** Every page of a list. */
async function pages(path: string, query: Record<string, string> = {}): Promise<Response[]> {
  const found: Response[] = [];
  let after: string | undefined;
  do {
    const response = await service
      .as(key)
      .get(path)
      .query({ ...query, limit: '1', ...(after && { after }) });
    expect(response.status, response.text).toBe(200);
    found.push(response);
    after = response.body.nextCursor ?? undefined;
  } while (after !== undefined);
  return found;
}

const dataOf = (found: readonly Response[]) => found.flatMap(({ body }) => body.data);

describe('whoever looks after one scope (A-05)', () => {
  test('sees the users who have something there, page by page, and nobody else', async () => {
    const ids = dataOf(await pages('/users')).map(({ id }) => id);
    expect(ids).toEqual(['acme-boss', 'acme-clerk', 'acme-guest', 'both']);
    expect((await service.as(key).get('/users/both').expect(200)).body.email).toBe('both@example.com');
  });

  test('is told of everybody else what is told of nobody', async () => {
    const unknown = await service.as(key).get('/users/not-there');
    for (const id of ['rival-boss', 'rival-clerk', 'chief', 'root']) {
      const response = await service.as(key).get(`/users/${id}`);
      expectContract(response, 'GET', '/users/{user}');
      expect({ ...response.body, requestId: '' }).toEqual({ ...unknown.body, requestId: '' });
    }
  });

  test('sees of users and roles the grants and exceptions that lie there', async () => {
    const both = (await service.as(key).get('/users/both/roles').expect(200)).body.data;
    expect(both.map(({ scope }: { scope: string }) => scope)).toEqual(['org/acme']);
    for (const id of ['rival-guest', 'rival-boss', 'chief'])
      for (const list of ['roles', 'exceptions'])
        expect((await service.as(key).get(`/users/${id}/${list}`).expect(200)).body.data).toEqual([]);
    // Nor does the version of what is there tell that there is something.
    const versions = ['', 'org/rival', 'org/acme'].map(async (scope) => {
      const answers = ['rival-boss', 'rival-clerk', 'chief'].map((id) =>
        service.as(key).get(`/users/${id}/roles`).query({ scope }).expect(200),
      );
      return (await Promise.all(answers)).map(({ headers }) => headers['etag']);
    });
    expect(new Set((await Promise.all(versions)).flat()).size).toBe(1);
    const guest = (await service.as(key).get('/users/acme-guest/exceptions').expect(200)).body.data;
    expect(guest).toHaveLength(1);
    const holders = dataOf(await pages('/roles/viewer/users'));
    expect(holders.map(({ user, scope }) => [user, scope])).toEqual([['both', 'org/acme']]);
    for (const scope of ['', 'org/acme', 'org/acme/billing', 'org/rival']) {
      const effective = dataOf(await pages('/roles/viewer/users', { effective: 'true', scope }));
      expect(
        effective.every((grant) => grant.scope.startsWith('org/acme')),
        scope,
      ).toBe(true);
    }
  });

  test('sees where somebody has something as far as it is there', async () => {
    const scopesOf = async (id: string, query = '') =>
      (await service.as(key).get(`/users/${id}/scopes${query}`).expect(200)).body;
    expect(await scopesOf('both')).toMatchObject({ scopes: ['org/acme'], denied: [] });
    expect(await scopesOf('rival-boss')).toMatchObject({ scopes: [] });
    expect(await scopesOf('chief', '?permission=orders.view_order')).toMatchObject({ scopes: ['org/acme'] });
    expect((await service.as(key).get('/me/scopes')).body.scopes).toEqual(['org/acme']);
  });

  test('learns who may do something there, and not through what that lies above', async () => {
    const [first, ...rest] = await pages('/permissions/orders_view_order/users', { scope: 'org/acme' });
    const found = dataOf([first as Response, ...rest]);
    expect(found.find(({ user }) => user === 'chief')).toEqual({ user: 'chief', via: [], viaLeftOut: 1 });
    const text = JSON.stringify(found);
    expect(text).not.toContain('rival-');
    expect(found.map(({ user }) => user)).toEqual(
      expect.arrayContaining(['acme-boss', 'acme-guest', 'both']),
    );
    for (const scope of ['', 'org', 'org/rival', 'org/acmes'])
      expect(
        (await service.as(key).get('/permissions/orders_view_order/users').query({ scope })).status,
      ).toBe(403);
  });

  test('is explained what lies there, and told how much lies above', async () => {
    const explained = await service
      .as(key)
      .get('/users/chief/explain')
      .query({ permission: 'orders.view_order', scope: 'org/acme' });
    expectContract(explained, 'GET', '/users/{user}/explain');
    expect(explained.body).toMatchObject({ allowed: true, paths: [], pathsLeftOut: 1, exceptionsLeftOut: 0 });
    expect(explained.text).not.toContain('for all');
    const own = await service
      .as(key)
      .get('/users/acme-boss/explain')
      .query({ permission: 'orders.view_order', scope: 'org/acme/billing' });
    expect(own.body.paths[0].grant).toMatchObject({ reason: 'for acme', grantedBy: 'root' });
    const other = { permission: 'orders.view_order', scope: 'org/rival' };
    expect((await service.as(key).get('/users/both/explain').query(other)).status).toBe(403);
  });

  test('grants and excepts there and below, nowhere else (A-11)', async () => {
    for (const scope of ['org/acme', 'org/acme/billing/eu']) {
      await service.as(key).put('/users/acme-clerk/roles/viewer').query({ scope }).expect(201);
      await service.as(key).delete('/users/acme-clerk/roles/viewer').query({ scope }).expect(200);
      const exception = '/users/acme-clerk/permissions/orders_load_order';
      await service.as(key).put(exception).query({ scope }).send({ effect: 'deny' }).expect(201);
      await service.as(key).delete(exception).query({ scope }).expect(200);
    }
  });
});

test.for(trespasses)(
  '$method $path changes nothing in the scope "$scope" (A-05, A-11)',
  async (operation) => {
    const { code, hasChanged } = await trespass(operation, key, service, sql);
    expect({ code, hasChanged }).toEqual({ code: 'forbidden', hasChanged: false });
  },
);
