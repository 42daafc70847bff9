import { pino } from 'pino';
import postgres from 'postgres';
import type { Response } from 'supertest';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatApiKey } from '../../src/domain/api-keys.ts';
import { buildServer } from '../../src/http/server.ts';
import type { OperationAt } from '../contract/openapi-document.ts';
import { expectContract, expectProblem, goodBodies, goodQueries, operations } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** What anybody may see without a credential: nothing but these. */
const publicRoutes = [
  'GET /docs',
  'GET /docs/',
  'GET /docs/*',
  'GET /docs/json',
  'GET /docs/static/index.html',
  'GET /docs/static/swagger-initializer.js',
  'GET /docs/yaml',
  'GET /livez',
  'GET /openapi.json',
  'GET /readyz',
  'GET /version',
  'HEAD /docs/*',
];

let service: TestService;
const keys: Record<string, string> = {};

beforeAll(async () => {
  service = await startTestService();
  const sql = postgres(service.database.url, { max: 1 });
  for (const state of ['good', 'revoked', 'expired', 'inactive', 'ended']) {
    await service.as().post('/users').send({ id: state }).expect(201);
    await service.as().put(`/users/${state}/roles/admin`).expect(201);
    const { body } = await service.as().post('/keys').send({ user: state, name: state }).expect(201);
    keys[state] = body.key;
    if (state === 'revoked') await service.as().delete(`/keys/${body.id}`).expect(200);
    if (state === 'inactive') await service.as().patch('/users/inactive').send({ active: false }).expect(200);
    if (state === 'ended') await service.as().delete('/users/ended').expect(200);
    if (state === 'expired')
      await sql`update rolecall.api_keys
        set created_at = now() - interval '1 hour', expires_at = now() - interval '1 ms' where id = ${body.id}`;
  }
  await sql.end();
});
afterAll(() => service.close());

const idOf = (key: string) => key.slice(3, 15);
const good = () => keys['good'] as string;

/** Every way to come without being let in, as the headers and the query that are sent. */
const strangers: Readonly<
  Record<string, () => { authorization?: string; query?: object; headers?: object }>
> = {
  'no credential': () => ({}),
  'an empty one': () => ({ authorization: 'Bearer ' }),
  garbage: () => ({ authorization: 'Bearer garbage' }),
  'another scheme': () => ({ authorization: `Basic ${Buffer.from(`good:${good()}`).toString('base64')}` }),
  'a key without its scheme': () => ({ authorization: good() }),
  'two keys': () => ({ authorization: `Bearer ${good()} ${good()}` }),
  'a wrong secret': () => ({
    authorization: `Bearer ${formatApiKey({ id: idOf(good()), secret: 'A'.repeat(43) })}`,
  }),
  'a key with the prefix of another environment': () => ({
    authorization: `Bearer ${good().replace(/^rc_/, 'rc_test_')}`,
  }),
  'a wrong checksum': () => ({ authorization: `Bearer ${good().slice(0, -6)}AAAAAA` }),
  'an unknown key': () => ({
    authorization: `Bearer ${formatApiKey({ id: 'A'.repeat(12), secret: 'A'.repeat(43) })}`,
  }),
  'a revoked key': () => ({ authorization: `Bearer ${keys['revoked']}` }),
  'an expired key': () => ({ authorization: `Bearer ${keys['expired']}` }),
  'a key of somebody inactive': () => ({ authorization: `Bearer ${keys['inactive']}` }),
  'a key of somebody deleted': () => ({ authorization: `Bearer ${keys['ended']}` }),
  'a key in the query': () => ({ query: { access_token: good(), api_key: good(), key: good() } }),
  'a key in a cookie': () => ({ headers: { cookie: `authorization=${good()}; key=${good()}` } }),
  'a name in a header (1.9)': () => ({
    headers: { 'x-internal-id': 'root', 'x-user-id': 'root', 'x-forwarded-user': 'root', 'x-tenant': 'root' },
  }),
};

const parameters: Readonly<Record<string, string>> = {
  user: 'nobody-at-all',
  role: 'no-such-role',
  other: 'no-such-role',
  permission: 'no_such_permission',
  key: 'AAAAAAAAAAAA',
  mapping: '019aa3f0-7c1e-7f04-9d6b-2f6f0c1c9a55',
  setting: 'no_such_setting',
};

function send(operation: OperationAt, headers: object = {}, query: object = {}): PromiseLike<Response> {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(parameters[name]));
  const method = operation.method.toLowerCase() as 'get' | 'put' | 'post' | 'patch' | 'delete';
  const tries = operation.parameters?.some(({ name }) => name === 'dryRun') ? { dryRun: 'true' } : {};
  return supertest(service.app.server)
    [method](path)
    .query({ ...tries, ...goodQueries[operation.operationId], ...query })
    .set({ ...headers })
    .send(goodBodies[operation.operationId]);
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const protectedOperations = operations.filter(({ security }) => security.length > 0);
/** The permission that an operation says it needs. */
const neededBy = ({ description }: OperationAt) => /`(rolecall_\w+)`/.exec(description ?? '')?.[1];
const demanding = operations.filter(neededBy);

describe.for(Object.entries(strangers))('whoever comes with %s', ([, come]) => {
  test.for(protectedOperations)('is not let in to $method $path', async (operation) => {
    const { authorization, query, headers } = come();
    const response = await send(
      operation,
      { ...headers, ...(authorization ? { authorization } : {}) },
      query,
    );
    expectContract(response, operation.method, operation.path);
    expect(response.body).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(response.headers['www-authenticate']).toMatch(/^Bearer /);
  });
});

test('all who are refused a key are told the same, so that nobody learns which keys exist', async () => {
  const states = [
    'a wrong secret',
    'a wrong checksum',
    'a key with the prefix of another environment',
    'an unknown key',
    'a revoked key',
    'an expired key',
    'garbage',
  ];
  const details = await Promise.all(
    [...states, 'a key of somebody inactive', 'a key of somebody deleted'].map(async (state) => {
      const { authorization = '' } = strangers[state]?.() ?? {};
      const { body } = await supertest(service.app.server).get('/me/permissions').set({ authorization });
      return body.detail;
    }),
  );
  expect(new Set(details).size).toBe(1);
});

describe('a permission', () => {
  test('is stated by every operation but those about oneself', () => {
    const without = protectedOperations.filter((operation) => !neededBy(operation));
    expect(without.map(({ path }) => path).sort()).toEqual(['/events', '/me/permissions', '/me/scopes']);
  });

  const everyNeeded = [...new Set(demanding.map(neededBy))].map(String);

  /** A key of somebody who holds everything, narrowed to these. */
  async function narrowed(permissions: readonly string[]): Promise<string> {
    const { body } = await service
      .as()
      .post('/keys')
      .send({ user: 'good', name: 'x', permissions })
      .expect(201);
    return body.key;
  }

  test.for(demanding)('is needed for $method $path, by the key', async (operation) => {
    const needed = String(neededBy(operation));
    const key = await narrowed(everyNeeded.filter((one) => one !== needed));
    const response = await send(operation, bearer(key));
    expectContract(response, operation.method, operation.path);
    expect(response.body).toMatchObject({
      status: 403,
      code: 'forbidden',
      detail: expect.stringContaining(needed),
    });
  });

  test.for(demanding)('is needed for $method $path, by its user', async (operation) => {
    const needed = String(neededBy(operation));
    const user = `lacks-${operation.operationId}`;
    const key = await service.keyFor(user);
    await service.as().put(`/users/${user}/roles/admin`).expect(201);
    await service.as().put(`/users/${user}/permissions/${needed}`).send({ effect: 'deny' }).expect(201);
    const response = await send(operation, bearer(key));
    expectContract(response, operation.method, operation.path);
    expect(response.body).toMatchObject({
      status: 403,
      code: 'forbidden',
      detail: expect.stringContaining(needed),
    });
  });

  test.for(demanding)('is all that is needed for $method $path', async (operation) => {
    const response = await send(operation, bearer(await narrowed([String(neededBy(operation))])));
    expectContract(response, operation.method, operation.path);
    expect(response.status, response.text).toBeOneOf([200, 201, 404, 428]);
  });

  /** Those that need it in a scope of their own, and do not answer with what lies where it is held. */
  const placed = demanding.filter(({ description }) => !description?.includes('wherever'));

  describe.for(['its user', 'the key'])('that %s has elsewhere only (A-01)', (whose) => {
    let key: string;
    beforeAll(async () => {
      const scope = 'org/elsewhere';
      if (whose === 'its user') {
        key = await service.keyFor('delegated-elsewhere');
        await service.as().put('/users/delegated-elsewhere/roles/admin').query({ scope }).expect(201);
      } else
        key = (await service.as().post('/keys').send({ user: 'good', name: 'x', scope }).expect(201)).body
          .key;
    });

    test.for(placed)('does not open $method $path', async (operation) => {
      const response = await send(operation, bearer(key));
      expectContract(response, operation.method, operation.path);
      const refused = response.body.outcomes?.[0] ?? response.body;
      const detail = expect.stringContaining(String(neededBy(operation)));
      expect(refused).toMatchObject({ code: 'forbidden', detail });
    });
  });
});

describe('the routes', () => {
  /** Every route there is, from the tree that the server prints of itself. */
  function routes(): string[] {
    const places: string[] = [];
    const prefixes: string[] = [];
    for (const line of service.app.printRoutes({ commonPrefix: false }).split('\n')) {
      const [, indent, part = '', methods = ''] = /^([│ ]*)[├└]── (\S+) \(([A-Z, ]+)\)$/.exec(line) ?? [];
      if (indent === undefined) continue;
      prefixes.length = indent.length / 4;
      const path = prefixes.join('') + part;
      prefixes.push(part);
      for (const method of methods.split(', ')) places.push(`${method} ${path}`);
    }
    return places;
  }

  const documented = operations.map(
    ({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
  );

  test('are those of the document, and those that show it', () => {
    const undocumented = routes().filter((route) => !documented.includes(route));
    expect(undocumented.sort()).toEqual(publicRoutes.filter((route) => /\/docs|\/openapi/.test(route)));
    expect(routes()).toEqual(expect.arrayContaining(documented));
  });

  test('that let anybody in are exactly the list', async () => {
    const open: string[] = [];
    for (const route of routes()) {
      const [method = '', path = ''] = route.split(' ');
      const url = path.replaceAll(/:(\w+)/g, (_, name: string) => String(parameters[name])).replace('*', 'x');
      const { statusCode } = await service.app.inject({ method: method as 'GET', url });
      if (statusCode !== 401) open.push(route);
    }
    expect(open.sort()).toEqual(publicRoutes);
  });

  test('that are not there are not there for anybody', async () => {
    for (const [method, path] of [
      ['get', '/nothing-here'],
      ['delete', '/users'],
      ['post', '/livez'],
      ['trace', '/users'],
      ['get', '/Users'],
      ['get', '/users/x/y/z'],
      ['get', '//users'],
    ] as const)
      for (const headers of [{}, bearer(good()), bearer('garbage')]) {
        const response = await supertest(service.app.server)[method](path).set(headers);
        expectProblem(response);
        expect(response.body).toMatchObject({ status: 404, code: 'route_not_found' });
      }
  });

  test('are not changed by headers or members that name another method', async () => {
    const override = {
      'x-http-method-override': 'DELETE',
      'x-http-method': 'DELETE',
      'x-method-override': 'DELETE',
    };
    await service.as().get('/users/good').set(override).expect(200);
    await service.as().get('/users/good').expect(200);
  });
});

describe('a route that does not state who may use it (A-02)', () => {
  const build = () =>
    buildServer(service.runtime, {
      version: '0.0.0-test',
      requestTimeoutMs: 1_000,
      logger: pino({ level: 'silent' }),
    });

  test('keeps the server from starting, wherever it is registered', async () => {
    for (const register of [
      (app: Awaited<ReturnType<typeof build>>) => void app.get('/open', async () => 'everything'),
      (app: Awaited<ReturnType<typeof build>>) =>
        void app.register(async (inner) => void inner.post('/open', async () => 'everything'), {
          prefix: '/deep',
        }),
      (app: Awaited<ReturnType<typeof build>>) =>
        void app.route({
          method: 'PUT',
          url: '/open',
          config: { hot: true } as object,
          handler: async () => 'x',
        }),
    ]) {
      const app = await build();
      register(app);
      await expect(app.ready()).rejects.toThrow(
        /do not state who may use them: (GET|POST|PUT) (\/deep)?\/open/,
      );
      await app.close();
    }
  });

  test('is what hinders it: without one it starts', async () => {
    const app = await build();
    await app.ready();
    await app.close();
  });
});
