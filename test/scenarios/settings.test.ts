import { afterEach, describe, expect, test } from 'vitest';
import { type Replica, type ReplicaOptions, type Replicas, startReplicas } from '../support/replicas.ts';
import { buildVault, grant, outcome, revoke } from '../support/vault.ts';

let running: Replicas | undefined;
afterEach(() => running?.close());

async function twoReplicas(options: ReplicaOptions = {}): Promise<readonly [Replica, Replica]> {
  running = await startReplicas(2, options);
  return running.replicas as readonly [Replica, Replica];
}

/** Returns the revision of the change. */
async function change(replica: Replica, key: string, value: unknown): Promise<string> {
  const { headers } = await replica.request({ method: 'GET', url: `/settings/${key}` });
  const { status, body } = await replica.request({
    method: 'PATCH',
    url: `/settings/${key}`,
    headers: { 'if-match': String(headers['etag']) },
    payload: { value },
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return (body as { revision: string }).revision;
}

async function askMany(replica: Replica, questions: number, how: object = {}): Promise<number> {
  const checks = Array.from({ length: questions }, () => ({ permission: 'orders.view_order' }));
  const payload = { checks, ...how };
  return (await replica.request({ method: 'POST', url: '/authorize/batch', payload })).status;
}

describe('a changed setting counts on another replica (3.1)', () => {
  test.for([false, true])('for every question that comes after it (notified: %s)', async (listens) => {
    const [one, other] = await twoReplicas({ listens });
    for (let round = 0; round < 20; round += 1) {
      expect(await askMany(other, 3)).toBe(200);
      await change(one, 'authorize_batch_limit', 2);
      expect(await askMany(other, 3)).toBe(400);
      await change(one, 'authorize_batch_limit', null);
    }
  });

  test('for every batch of writes that comes after it', async () => {
    const [one, other] = await twoReplicas();
    const register = (number: number) =>
      other.request({
        method: 'POST',
        url: '/permissions/batch',
        payload: {
          permissions: Array.from({ length: number }, (_, n) => ({ permission: `many.do_${n}` })),
        },
      });
    expect((await register(3)).status).toBe(200);
    await change(one, 'permission_batch_limit', 2);
    expect((await register(3)).status).toBe(400);
    expect((await register(2)).status).toBe(200);
    await change(one, 'permission_batch_limit', null);
    expect((await register(3)).status).toBe(200);
  });

  test('under a lease, at the latest when its revision is asked for', async () => {
    const [one, other] = await twoReplicas({ variables: { ROLECALL_LEASE_MS: '60000' } });
    expect(await askMany(other, 3)).toBe(200);
    const atLeast = await change(one, 'authorize_batch_limit', 2);
    expect(await askMany(other, 3, { freshness: 'lease', atLeast })).toBe(400);
    expect(await askMany(other, 3, { freshness: 'lease' })).toBe(400);
  });
});

describe('the length of a lease', () => {
  const lease = { user: 'ann', freshness: 'lease' } as const;

  test('is what the setting says, on every replica, and otherwise what its variable says', async () => {
    const [one, other] = await twoReplicas({ variables: { ROLECALL_LEASE_MS: '60000' } });
    await buildVault(one, ['ann']);
    expect(await outcome(other, { user: 'ann' })).toBe('denied');
    const granted = await grant(one, 'ann');
    expect(await outcome(other, lease), 'a minute has not passed').toBe('denied');
    expect(await outcome(other, { ...lease, atLeast: granted })).toBe('allowed');

    const none = await change(one, 'lease_ms', 0);
    expect(await outcome(other, { ...lease, atLeast: none })).toBe('allowed');
    for (let round = 0; round < 5; round += 1) {
      await revoke(one, 'ann');
      expect(await outcome(other, lease)).toBe('denied');
      await grant(one, 'ann');
      expect(await outcome(other, lease)).toBe('allowed');
    }

    const usual = await change(one, 'lease_ms', null);
    expect(await outcome(other, { ...lease, atLeast: usual })).toBe('allowed');
    await revoke(one, 'ann');
    expect(await outcome(other, lease), 'a minute has not passed').toBe('allowed');
  });
});
