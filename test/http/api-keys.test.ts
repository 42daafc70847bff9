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
  for (const role of roles) await service.as().put(`/users/${id}/roles/${role}`).expect(201);
}

async function create(body: object, idempotencyKey?: string) {
  const request = service.as().post('/keys').send(body);
  const response = await (idempotencyKey ? request.set('idempotency-key', idempotencyKey) : request);
  expectContract(response, 'POST', '/keys');
  return response;
}

async function revoke(id: string) {
  const response = await service.as().delete(`/keys/${id}`);
  expectContract(response, 'DELETE', '/keys/{key}');
  return response;
}

async function list(query: object) {
  const response = await service.as().get('/keys').query(query).expect(200);
  expectContract(response, 'GET', '/keys');
  return response.body;
}

async function inDatabase<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(service.database.url, { max: 1 });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

const works = async (key: string) => (await service.as(key).get('/me/permissions')).status === 200;

describe('making a key', () => {
  test('shows it once, acts as its user, and asks that nobody keep the answer', async () => {
    await newUser('orders', 'loader');
    const made = await create({ user: 'orders', name: 'orders in production' });
    expect(made.status).toBe(201);
    expect(made.headers['cache-control']).toBe('no-store');
    expect(made.body).toMatchObject({
      user: 'orders',
      name: 'orders in production',
      permissions: null,
      expiresAt: null,
      revokedAt: null,
      changed: true,
    });
    expect(made.body.key).toMatch(new RegExp(`^rc_${made.body.id}_[0-9A-Za-z]{49}$`));
    const me = await service.as(made.body.key).get('/me/permissions').expect(200);
    expect(me.body).toMatchObject({ user: 'orders', roles: ['loader', 'user'] });
    const { data } = await list({ user: 'orders' });
    expect(data).toHaveLength(1);
    expect(data[0]).not.toHaveProperty('key');
    expect(JSON.stringify(data)).not.toContain(made.body.key.slice(16));
  });

  test('twice makes two', async () => {
    await newUser('twice');
    const keys = [
      await create({ user: 'twice', name: 'same' }),
      await create({ user: 'twice', name: 'same' }),
    ];
    expect(new Set(keys.map(({ body }) => body.key)).size).toBe(2);
    expect((await list({ user: 'twice' })).data).toHaveLength(2);
  });

  test('again with the same Idempotency-Key makes one, whose secret nobody knows any more', async () => {
    await newUser('replay');
    const first = await create({ user: 'replay', name: 'x' }, 'make-replay');
    const again = await create({ user: 'replay', name: 'x' }, 'make-replay');
    expect(first.body.key).toMatch(/^rc_/);
    expect(again.status).toBe(201);
    expect(again.body).toEqual({ ...first.body, key: null });
    expect((await list({ user: 'replay' })).data).toHaveLength(1);
    expect(await works(first.body.key)).toBe(true);
  });

  test('for nobody, or with a permission that is none, is refused', async () => {
    await newUser('almost');
    expect((await create({ user: 'almots', name: 'x' })).body).toMatchObject({
      status: 404,
      code: 'unknown_user',
    });
    const unknown = await create({ user: 'almost', name: 'x', permissions: ['orders.load_ordr'] });
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    const faults: readonly (readonly [string, object])[] = [
      ['/name', { name: '' }],
      ['/name', { name: 'x'.repeat(201) }],
      ['/permissions', { permissions: [] }],
      ['/permissions/0', { permissions: ['*'] }],
      ['/expiresAt', { expiresAt: 'tomorrow' }],
      ['/key', { key: 'rc_mine' }],
      ['/id', { id: 'k3J9xQ2mPz7B' }],
    ];
    for (const [pointer, fault] of faults)
      expect((await create({ user: 'almost', name: 'x', ...fault })).body.errors).toMatchObject([
        { pointer },
      ]);
    expect((await list({ user: 'almost' })).data).toEqual([]);
  });

  test('that would have ended already is refused, not a failure', async () => {
    await newUser('late');
    const refused = await create({ user: 'late', name: 'x', expiresAt: '2020-01-01T00:00:00Z' });
    expect(refused.body).toMatchObject({ status: 400, errors: [{ pointer: '/expiresAt' }] });
  });
});

describe('a secret', () => {
  test('is nowhere in the database, in no form that gives it back (A-22)', async () => {
    await newUser('vault', 'loader');
    const made = [
      await create({ user: 'vault', name: 'plain' }),
      await create({ user: 'vault', name: 'remembered' }, 'vault-key'),
    ].map(({ body }) => body.key as string);
    const dump = await inDatabase(async (sql) => {
      const tables = await sql<{ name: string }[]>`
        select relname as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'`;
      const rows = await Promise.all(
        tables.map(({ name }) => sql`select t::text as row from ${sql(`rolecall.${name}`)} as t`),
      );
      return rows.flat().map(({ row }) => String(row));
    });
    expect(dump.filter((row) => row.includes('remembered'))).not.toEqual([]);
    for (const key of made) {
      const secret = key.slice(16, 59);
      const forms = [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')];
      for (const form of forms) expect(dump.filter((row) => row.includes(form))).toEqual([]);
    }
    expect(dump.filter((row) => /rc_[0-9A-Za-z]{12}_[0-9A-Za-z]{20}/.test(row))).toEqual([]);
  });

  test('that is wrong in one letter, or of another key, is refused like an unknown key', async () => {
    await newUser('typo');
    const [one, other] = [
      await create({ user: 'typo', name: 'a' }),
      await create({ user: 'typo', name: 'b' }),
    ];
    const key: string = one.body.key;
    const swapped = (place: number) =>
      `${key.slice(0, place)}${key[place] === 'A' ? 'B' : 'A'}${key.slice(place + 1)}`;
    const wrong = [3, 14, 16, 40, 58, 59, 64].map(swapped);
    const crossed = `${key.slice(0, 16)}${other.body.key.slice(16)}`;
    const answers = await Promise.all(
      [...wrong, crossed, key.toLowerCase(), key.slice(0, -1), `${key}A`, key.replace('rc_', 'rk_')].map(
        (bad) => service.as(bad).get('/me/permissions'),
      ),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.code} ${body.detail}`)).size).toBe(1);
    expect(answers[0]?.body).toMatchObject({ status: 401, code: 'unauthenticated' });
  });
});

describe('a narrowed key', () => {
  test('may do what its list and its user both allow', async () => {
    await newUser('narrow', 'backend');
    const permissions = ['rolecall.check', 'rolecall:manage_users'];
    const made = await create({ user: 'narrow', name: 'x', permissions });
    expect(made.body.permissions).toEqual(['rolecall_check', 'rolecall_manage_users']);
    const as = service.as(made.body.key);
    expect((await as.post('/authorize').send({ user: 'root', permission: 'orders.view_order' })).status).toBe(
      200,
    );
    // The user holds this one, the list does not name it.
    expect((await service.as(made.body.key).get('/users/root')).body.code).toBe('forbidden');
    // The list names this one, the user does not hold it.
    expect((await service.as(made.body.key).post('/users').send({ id: 'n2' })).body.code).toBe('forbidden');
  });

  test('loses what its user loses', async () => {
    await newUser('shrink', 'backend');
    const { key } = (await create({ user: 'shrink', name: 'x', permissions: ['rolecall.check'] })).body;
    const ask = () =>
      service.as(key).post('/authorize').send({ user: 'root', permission: 'orders.view_order' });
    expect((await ask()).status).toBe(200);
    await service.as().delete('/users/shrink/roles/backend').expect(200);
    expect((await ask()).status).toBe(403);
  });
});

describe('the end of a key', () => {
  test('comes at the instant it was given, by the clock of the database', async () => {
    await newUser('short');
    const clock = async () =>
      Number(
        (await inDatabase((sql) => sql`select extract(epoch from clock_timestamp()) * 1000 as now`))[0]?.[
          'now'
        ],
      );
    const end = Math.ceil((await clock()) + 3_000);
    const { key, expiresAt } = (
      await create({ user: 'short', name: 'x', expiresAt: new Date(end).toISOString() })
    ).body;
    expect(Date.parse(expiresAt)).toBe(end);
    for (;;) {
      const before = await clock();
      const worked = await works(key);
      if (worked) expect(before).toBeLessThan(end);
      else {
        expect(await clock()).toBeGreaterThanOrEqual(end);
        break;
      }
    }
  });

  test('comes at once when it is revoked, and twice changes nothing', async () => {
    await newUser('revoked');
    const { key, id } = (await create({ user: 'revoked', name: 'x' })).body;
    const other = (await create({ user: 'revoked', name: 'y' })).body;
    const gone = await revoke(id);
    expect(gone.body).toMatchObject({ id, user: 'revoked', changed: true });
    expect(gone.body.revokedAt).not.toBeNull();
    expect(await works(key)).toBe(false);
    expect(await works(other.key)).toBe(true);
    expect((await revoke(id)).body).toMatchObject({ changed: false, revision: gone.body.revision });
    expect((await list({ user: 'revoked' })).data).toHaveLength(2);
  });

  test('comes while its user is inactive, and is over when they are active again', async () => {
    await newUser('paused');
    const { key } = (await create({ user: 'paused', name: 'x' })).body;
    await service.as().patch('/users/paused').send({ active: false }).expect(200);
    expect(await works(key)).toBe(false);
    await service.as().patch('/users/paused').send({ active: true }).expect(200);
    expect(await works(key)).toBe(true);
  });

  test('is not brought by an id that is none, or is unknown', async () => {
    expect((await revoke('A'.repeat(12))).body).toMatchObject({ status: 404, code: 'unknown_key' });
    for (const id of ['short', 'A'.repeat(13), 'AAAAAAAAAAA_', '%27%20or%201=1'])
      expect((await revoke(id)).body).toMatchObject({ status: 400, errors: [{ pointer: '/path/key' }] });
  });
});

describe('the list', () => {
  test('has every key once by pages of any size, and is bound to its filter', async () => {
    await newUser('lister');
    for (let one = 0; one < 5; one += 1) await create({ user: 'lister', name: `key ${one}` });
    const ids: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await list({ user: 'lister', limit: 2, ...(after ? { after } : {}) });
      ids.push(...page.data.map(({ id }: { id: string }) => id));
      after = page.nextCursor;
      if (after) {
        const foreign = await service.as().get('/keys').query({ user: 'root', after });
        expect(foreign.body).toMatchObject({ status: 400, code: 'invalid_cursor' });
      }
    }
    expect(ids).toHaveLength(5);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect((await list({ user: 'nobody-at-all' })).data).toEqual([]);
  });
});
