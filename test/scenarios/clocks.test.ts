import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Replica, type Replicas, startReplicas } from '../support/replicas.ts';
import { buildVault, done, outcome, role } from '../support/vault.ts';

let started: Replicas;
beforeEach(async () => {
  started = await startReplicas(1, { variables: { ROLECALL_LEASE_MS: '60000' } });
});
afterEach(async () => {
  vi.useRealTimers();
  await started.close();
});

const day = 86_400_000;

test.for([-3_650 * day, -day, -3_600_000, 3_600_000, day, 3_650 * day])(
  'a host whose clock is %i ms off decides what has begun and expired by the clock of the database (C-08)',
  async (off) => {
    const [replica] = started.replicas as readonly [Replica];
    await buildVault(replica, ['past', 'present', 'coming']);
    const [row] = await started.sql<
      { now: number }[]
    >`select extract(epoch from clock_timestamp())::float8 * 1000 as now`;
    const now = row?.now ?? 0;
    const at = (milliseconds: number) => new Date(now + milliseconds).toISOString();
    const give = (user: string, startsAt: string, expiresAt: string) =>
      done(replica, 'PUT', `/users/${user}/roles/${role}`, { startsAt, expiresAt });
    await give('past', at(-2 * day), at(-60_000));
    await give('present', at(-60_000), at(60_000));
    await give('coming', at(60_000), at(2 * day));
    vi.useFakeTimers({ toFake: ['Date'], now: now + off });
    for (const freshness of ['latest', 'lease'] as const) {
      expect(await outcome(replica, { user: 'past', freshness })).toBe('denied');
      expect(await outcome(replica, { user: 'present', freshness })).toBe('allowed');
      expect(await outcome(replica, { user: 'coming', freshness })).toBe('denied');
    }
  },
);

test('what expires while a user is in memory has expired, under a lease too', async () => {
  const [replica] = started.replicas as readonly [Replica];
  await buildVault(replica, ['ann']);
  const [row] = await started.sql<
    { soon: Date }[]
  >`select clock_timestamp() + interval '700 milliseconds' as soon`;
  await done(replica, 'PUT', `/users/ann/roles/${role}`, { expiresAt: row?.soon.toISOString() });
  expect(await outcome(replica, { user: 'ann' })).toBe('allowed');
  await pause(750);
  expect(await outcome(replica, { user: 'ann', freshness: 'lease' })).toBe('denied');
  expect(await outcome(replica, { user: 'ann' })).toBe('denied');
});
