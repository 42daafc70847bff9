import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { long, summarize } from '../support/long-run.ts';
import { type Replicas, startReplicas } from '../support/replicas.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let made = 0;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function newKey(terms: object = {}): Promise<{ id: string; key: string; user: string }> {
  const user = `rotated-${++made}`;
  await service.as().post('/users').send({ id: user }).expect(201);
  const { body } = await service
    .as()
    .post('/keys')
    .send({ user, name: 'x', ...terms })
    .expect(201);
  return body;
}

async function rotate(id: string, body?: object) {
  const response = await service.as().post(`/keys/${id}/rotate`).send(body);
  expectContract(response, 'POST', '/keys/{key}/rotate');
  return response;
}

const works = async (key: string) => (await service.as(key).get('/me/permissions')).status === 200;

describe('rotating a key', () => {
  test('is open to the key itself, also while it is told to end: the new one ends with it', async () => {
    const old = await newKey();
    await service.as().put(`/users/${old.user}/roles/admin`).expect(201);
    await rotate(old.id, { overlapSeconds: 600 });
    const again = await service.as(old.key).post(`/keys/${old.id}/rotate`).send({ overlapSeconds: 600 });
    expect(again.status, again.text).toBe(201);
    const longer = { overlapSeconds: 600, expiresAt: null };
    const { body } = await service.as(old.key).post(`/keys/${old.id}/rotate`).send(longer);
    expect(body.code).toBe('exceeds_own_access');
  });

  test('makes one alike, and both work until the overlap is over (A-23)', async () => {
    const terms = { permissions: ['orders.view_order'], scope: 'org', expiresAt: '2090-01-01T00:00:00.000Z' };
    const old = await newKey(terms);
    const begun = Date.now();
    const { status, body, headers } = await rotate(old.id, { overlapSeconds: 2 });
    expect(status).toBe(201);
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toMatchObject({
      ...terms,
      permissions: ['orders_view_order'],
      user: old.user,
      changed: true,
    });
    expect(body.id).not.toBe(old.id);
    const asks = async (key: string) =>
      (await service.as(key).get('/me/permissions?scope=org')).status === 200;
    expect(await asks(old.key)).toBe(true);
    expect(await asks(body.key)).toBe(true);
    const { data } = (await service.as().get('/keys').query({ user: old.user })).body;
    const end = Date.parse(data.find(({ id }: { id: string }) => id === old.id).expiresAt);
    expect(end - begun).toBeGreaterThan(1_900);
    while (await asks(old.key)) await pause(20);
    expect(Date.now()).toBeGreaterThanOrEqual(end - 100);
    expect(await asks(body.key)).toBe(true);
  });

  test('without an overlap ends the old one at once', async () => {
    const old = await newKey();
    const { body } = await rotate(old.id, { overlapSeconds: 0 });
    expect(await works(old.key)).toBe(false);
    expect(await works(body.key)).toBe(true);
  });

  test('lasts an hour if nothing is said, and never longer than the old one had', async () => {
    const until = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();
    const endOf = async ({ id, user }: { id: string; user: string }) => {
      const { data } = (await service.as().get('/keys').query({ user })).body;
      return Date.parse(data.find((one: { id: string }) => one.id === id).expiresAt) - Date.now();
    };
    const open = await newKey();
    const { body } = await rotate(open.id);
    expect(body.expiresAt).toBeNull();
    expect(await endOf(open)).toBeGreaterThan(3_500_000);
    expect(await endOf(open)).toBeLessThanOrEqual(3_600_000);
    const short = await newKey({ expiresAt: until(60_000) });
    const renewed = await rotate(short.id, { overlapSeconds: 3_600, expiresAt: null });
    expect(renewed.body.expiresAt).toBeNull();
    expect(await endOf(short)).toBeLessThanOrEqual(60_000);
  });

  test('is refused for a key that ended, was revoked, or is not there', async () => {
    const revoked = await newKey();
    await service.as().delete(`/keys/${revoked.id}`).expect(200);
    const ended = await newKey();
    await rotate(ended.id, { overlapSeconds: 0 });
    for (const { id } of [revoked, ended])
      expect((await rotate(id)).body).toMatchObject({ status: 409, code: 'key_ended' });
    expect((await rotate('A'.repeat(12))).body).toMatchObject({ status: 404, code: 'unknown_key' });
    const { id } = await newKey();
    for (const overlapSeconds of [-1, 1.5, '60', 2_592_001])
      expect((await rotate(id, { overlapSeconds })).body).toMatchObject({
        status: 400,
        errors: [{ pointer: '/overlapSeconds' }],
      });
  });

  test('twice with one Idempotency-Key makes one, whose secret nobody knows any more', async () => {
    const old = await newKey();
    const send = () =>
      service.as().post(`/keys/${old.id}/rotate`).set('idempotency-key', 'rotate-once').send({});
    const first = await send();
    const again = await send();
    expect(first.body.key).toMatch(/^rc_/);
    expect(again.body).toEqual({ ...first.body, key: null });
  });

  test('as a dry run changes nothing and shows no key', async () => {
    const old = await newKey();
    const dry = await service.as().post(`/keys/${old.id}/rotate?dryRun=true`).send({ overlapSeconds: 0 });
    expect(dry.body).toMatchObject({ dryRun: true, key: null });
    expect(await works(old.key)).toBe(true);
  });

  test('is recorded with both keys', async () => {
    const old = await newKey();
    const { body } = await rotate(old.id, { overlapSeconds: 60 });
    const sql = postgres(service.database.url, { max: 1 });
    const rows = await sql`
      select kind, after from rolecall.journal
      where revision = ${Number(body.revision.split('-')[1])} order by number`;
    await sql.end();
    expect(rows).toMatchObject([
      { kind: 'key_created', after: { key: body.id } },
      { kind: 'key_rotated', after: { key: old.id, successor: body.id } },
    ]);
  });
});

describe('on every replica', () => {
  let all: Replicas;
  beforeAll(async () => {
    all = await startReplicas(3);
  });
  afterAll(() => all.close());

  const rounds = long ? 1_000 : 30;

  test(`a key that was revoked or rotated away is refused for the next question, ${rounds} times (A-23)`, async () => {
    const [first, ...others] = all.replicas;
    if (!first) throw new Error('no replica');
    await first.request({ method: 'POST', url: '/users', payload: { id: 'service' } });
    const payload = { user: 'service', name: 'x' };
    const make = async (url: string, body: object) =>
      (await first.request({ method: 'POST', url, payload: body })).body as { id: string; key: string };
    const statuses = (key: string) =>
      Promise.all(
        all.replicas.map(
          async (replica) => (await replica.request({ method: 'GET', url: '/me/permissions' }, key)).status,
        ),
      );
    const everywhere = (status: number) => all.replicas.map(() => status);
    expect(others).toHaveLength(2);
    for (let round = 0; round < rounds; round += 1) {
      const { id, key } = await make('/keys', payload);
      expect(await statuses(key)).toEqual(everywhere(200));
      const next = await make(`/keys/${id}/rotate`, { overlapSeconds: 0 });
      expect(await statuses(key)).toEqual(everywhere(401));
      expect(await statuses(next.key)).toEqual(everywhere(200));
      await first.request({ method: 'DELETE', url: `/keys/${next.id}` });
      expect(await statuses(next.key)).toEqual(everywhere(401));
    }
    summarize('rotated and revoked keys (A-23)', {
      rounds,
      replicas: all.replicas.length,
      'answered as before': 0,
    });
  }, 900_000);
});
