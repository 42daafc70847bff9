import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operatorCall } from '../../src/services/call.ts';
import { expectContract } from '../support/contract.ts';
import { openTestRuntime } from '../support/runtime.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let made = 0;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

/** A new user with exceptions that allow, each `permission` or `permission@scope`. */
async function newUser(...allowed: readonly string[]): Promise<string> {
  const id = `user-${++made}`;
  await service.as().post('/users').send({ id }).expect(201);
  for (const one of allowed) {
    const [permission, scope = ''] = one.split('@');
    const place = `/users/${id}/permissions/${permission}`;
    await service.as().put(place).query({ scope }).send({ effect: 'allow' }).expect(201);
  }
  return id;
}

const as = (key: string, user?: string) => {
  const agent = service.as(key);
  return user === undefined ? agent : agent.set('rolecall-act-for', encodeURIComponent(user));
};

describe('acting for a user', () => {
  test('needs rolecall_act_for, of the key and of its user', async () => {
    const user = await newUser();
    const without = await service.keyFor(await newUser('rolecall_check'));
    expect((await as(without, user).get('/me/permissions')).body).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
    const backend = await newUser('rolecall_act_for');
    await as(await service.keyFor(backend), user)
      .get('/me/permissions')
      .expect(200);
    const terms = { user: backend, name: 'x', permissions: ['rolecall.check'] };
    const { key } = (await service.as().post('/keys').send(terms).expect(201)).body;
    expect((await as(key, user).get('/me/permissions')).body.code).toBe('forbidden');
  });

  test('is refused for nobody, somebody inactive, and what is no id', async () => {
    const key = await service.keyFor(await newUser('rolecall_act_for'));
    const inactive = await newUser();
    await service.as().patch(`/users/${inactive}`).send({ active: false }).expect(200);
    for (const user of ['nobody-at-all', inactive])
      expect((await as(key, user).get('/me/permissions')).body).toMatchObject({
        status: 403,
        code: 'forbidden',
      });
    for (const broken of ['%', '%00', '..'])
      expect(
        (await service.as(key).get('/me/permissions').set('rolecall-act-for', broken)).body,
      ).toMatchObject({
        status: 400,
        errors: [{ pointer: '/header/rolecall-act-for' }],
      });
  });

  test('allows what both may do, and never more than either', async () => {
    const both = await newUser('rolecall_read_roles', 'rolecall_read_keys');
    const backend = await newUser('rolecall_act_for', 'rolecall_read_roles', 'rolecall_read_permissions');
    const key = await service.keyFor(backend);
    const status = async (path: string) => (await as(key, both).get(path)).status;
    expect(await status('/roles')).toBe(200);
    expect(await status('/keys')).toBe(403);
    expect(await status('/permissions')).toBe(403);
    const mine = await as(key, both).get('/me/permissions').expect(200);
    expect(mine.body).toMatchObject({ user: both, permissions: ['rolecall_read_roles'], roles: [] });
    // Asking about the user acted for is asking about somebody else: the backend may not.
    expect((await as(key, both).get(`/users/${both}/permissions`)).body.code).toBe('forbidden');
  });

  test('gives what both could give, where the backend may act, and makes no key that is worth more', async () => {
    const admin = await newUser('rolecall_grant_roles', 'rolecall_manage_keys', 'rolecall_escalate');
    const backend = await newUser('rolecall_act_for@org', 'rolecall_grant_roles', 'rolecall_manage_keys');
    const key = await service.keyFor(backend);
    const user = await newUser();
    const give = (scope: string) => as(key, admin).put(`/users/${user}/roles/loader`).query({ scope });
    // The user may escalate, the backend lacks what the role gives.
    expect((await give('org')).body.code).toBe('exceeds_own_access');
    await service.as().put(`/users/${backend}/roles/loader`).expect(201);
    expect((await give('')).body.code).toBe('forbidden');
    await give('org').expect(201);
    const terms = { user: admin, name: 'mine', scope: 'org' };
    expect((await as(key, admin).post('/keys').send(terms)).body.code).toBe('exceeds_own_access');
  });

  test('is recorded with both names, and that there were two when one is erased', async () => {
    const user = await newUser('rolecall_grant_roles');
    await service.as().put(`/users/${user}/roles/loader`).expect(201);
    const backend = await newUser('rolecall_act_for', 'rolecall_escalate', 'rolecall_grant_roles');
    const key = await service.keyFor(backend);
    const target = await newUser();
    const { body } = await as(key, user).put(`/users/${target}/roles/loader`);
    expect(body.changed, JSON.stringify(body)).toBe(true);
    const { data } = (await service.as().get('/journal').query({ user: target }).expect(200)).body;
    expect(data[0]).toMatchObject({
      kind: 'grant_set',
      actor: { kind: 'user', user, through: backend, key: key.slice(3, 15) },
    });
    await service.as().post(`/users/${backend}/erase`).expect(200);
    const kept = await service.as().get('/journal').query({ user: target }).expect(200);
    expectContract(kept, 'GET', '/journal');
    expect(kept.body.data[0].actor).toEqual({ kind: 'user', user, key: null, through: null });
    expect(kept.body.data.at(-1).actor).not.toHaveProperty('through');
    expect((await service.as().get('/journal/verify').expect(200)).body.broken).toBeNull();
  });

  test('is told of what was refused, by key and with both names', async () => {
    const user = await newUser();
    const backend = await newUser('rolecall_act_for');
    const key = await service.keyFor(backend);
    await as(key, user).delete('/users/somebody').expect(403);
    await service
      .as(await service.keyFor(user))
      .delete('/users/somebody')
      .expect(403);
    const refused = async () => {
      const answer = await service.as().get('/journal/denied').expect(200);
      expectContract(answer, 'GET', '/journal/denied');
      const data: { actor: string; key: string; through?: string | null }[] = answer.body.data;
      return data
        .filter(({ actor }) => actor === user)
        .map((one) => [one.key === key.slice(3, 15), one.through]);
    };
    const both = expect.arrayContaining([
      [true, backend],
      [false, undefined],
    ]);
    await expect.poll(refused, { timeout: 20_000 }).toEqual(both);
    await service.as().post(`/users/${backend}/erase`).expect(200);
    expect(await refused()).toContainEqual([false, null]);
  });

  test('leaves what others were refused on record, whatever somebody sends for a name', async () => {
    const key = await service.keyFor(await newUser());
    const user = await newUser();
    for (const path of ['/users/%00', '/roles/%00', '/users/a?scope=a&scope=b'])
      await as(key, 'root').delete(path).expect(403);
    await service
      .as(await service.keyFor(user))
      .delete('/users/somebody')
      .expect(403);
    const ofUser = async () => {
      const { data } = (await service.as().get('/journal/denied').expect(200)).body;
      return data.filter(({ actor }: { actor: string }) => actor === user);
    };
    await expect.poll(ofUser, { timeout: 20_000 }).toHaveLength(1);
  });

  test('is told of, by key and name, where somebody may not act for anybody', async () => {
    const user = await newUser();
    const key = await service.keyFor(user);
    await as(key, 'root').delete('/users/somebody').expect(403);
    const tried = async () => {
      const { data } = (await service.as().get('/journal/denied').expect(200)).body;
      return data.filter(({ actor }: { actor: string }) => actor === user);
    };
    await expect
      .poll(tried, { timeout: 20_000 })
      .toMatchObject([{ key: key.slice(3, 15), code: 'forbidden' }]);
  });

  test('ends when the backend or the user is deactivated', async () => {
    const user = await newUser();
    const backend = await newUser('rolecall_act_for');
    const key = await service.keyFor(backend);
    const status = async () => (await as(key, user).get('/me/permissions')).status;
    expect(await status()).toBe(200);
    await service.as().patch(`/users/${user}`).send({ active: false }).expect(200);
    expect(await status()).toBe(403);
    await service.as().patch(`/users/${user}`).send({ active: true }).expect(200);
    await service.as().patch(`/users/${backend}`).send({ active: false }).expect(200);
    expect(await status()).toBe(401);
  });
});

test('when a key was last used is known after a while, and is no change', async () => {
  const user = await newUser();
  const key = await service.keyFor(user);
  const before = (await service.as(key).get('/me/permissions').expect(200)).body.revision;
  const other = await openTestRuntime(service.database.url);
  await other.authentication.authenticate(`Bearer ${key}`, operatorCall(20_000).deadline, {
    ip: '127.0.0.1',
  });
  await other.close();
  const { data } = (await service.as().get('/keys').query({ user })).body;
  expect(Date.parse(data[0].lastUsedAt)).toBeGreaterThan(Date.now() - 60_000);
  expect((await service.as(key).get('/me/permissions')).body.revision).toBe(before);
  const sql = postgres(service.database.url, { max: 1 });
  const [never] = await sql`select count(*)::int as keys from rolecall.api_keys where last_used_at is null`;
  await sql.end();
  expect(never?.['keys']).toBeGreaterThan(0);
});
