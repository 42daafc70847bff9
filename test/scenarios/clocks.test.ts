import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import {
  type Build,
  buildOf,
  type Replica,
  type Replicas,
  soundBuild,
  startReplica,
  startReplicas,
} from '../support/replicas.ts';
import { buildVault, done, grant, outcome, revoke, role } from '../support/vault.ts';

let started: Replicas;
afterEach(async () => {
  vi.useRealTimers();
  await started.close();
});

async function startOne(build: Build = soundBuild, leaseMs = 60_000): Promise<Replica> {
  started = await startReplicas(1, { build, variables: { ROLECALL_LEASE_MS: String(leaseMs) } });
  const [replica] = started.replicas as readonly [Replica];
  await buildVault(replica, ['past', 'present', 'coming']);
  return replica;
}

/** What is said of a role that has expired, one that has begun and one that has not, by a host whose clock is so far off. */
async function saidWhenOff(off: number, replica: Replica) {
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
  const said: unknown[] = [];
  for (const freshness of ['latest', 'lease'] as const)
    for (const user of ['past', 'present', 'coming']) said.push(await outcome(replica, { user, freshness }));
  return said;
}

const day = 86_400_000;
const right = ['denied', 'allowed', 'denied', 'denied', 'allowed', 'denied'];

test.for([-3_650 * day, -day, -3_600_000, 3_600_000, day, 3_650 * day])(
  'a host whose clock is %i ms off decides what has begun and expired by the clock of the database (C-08)',
  async (off) => {
    expect(await saidWhenOff(off, await startOne())).toEqual(right);
  },
);

test('a host whose clock is off decides wrongly in a build that goes by it', async () => {
  const breakage: Breakage = {
    file: 'services/decisions/freshness.ts',
    replace: 'const now = () => clock.instant + (performance.now() - clock.readAt);',
    by: 'const now = () => Date.now() + 0 * clock.readAt;',
  };
  await withBrokenBuild(breakage, async (load) => {
    expect(await saidWhenOff(day, await startOne(await buildOf(load)))).not.toEqual(right);
  });
});

test('what expires while a user is in memory has expired, under a lease too', async () => {
  const replica = await startOne();
  const [row] = await started.sql<
    { soon: Date }[]
  >`select clock_timestamp() + interval '700 milliseconds' as soon`;
  await done(replica, 'PUT', `/users/present/roles/${role}`, { expiresAt: row?.soon.toISOString() });
  expect(await outcome(replica, { user: 'present' })).toBe('allowed');
  await pause(750);
  expect(await outcome(replica, { user: 'present', freshness: 'lease' })).toBe('denied');
  expect(await outcome(replica, { user: 'present' })).toBe('denied');
});

/** What is said under a lease of a role that was taken elsewhere longer ago than that, by a host whose clock was set meanwhile. */
async function saidAfterLease(off: number, build: Build = soundBuild) {
  const replica = await startOne(build, leaseMs);
  const other = await startReplica(started.database.url, started.adminKey);
  await grant(other, 'present');
  expect(await outcome(replica, { user: 'present' })).toBe('allowed');
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + off });
  await revoke(other, 'present');
  await other.close();
  await pause(leaseMs * 1.5);
  return outcome(replica, { user: 'present', freshness: 'lease' });
}

const leaseMs = 500;

test.for([-day, -3_600_000, 3_600_000, day])(
  'a lease ends when it does, although the clock of the host is set by %i ms (C-08)',
  async (off) => {
    expect(await saidAfterLease(off)).toBe('denied');
  },
);

test('a lease that goes by the clock of the host is found out when that is set back', async () => {
  const breakage = [
    ['const begun = performance.now();', 'const begun = Date.now();'],
    [
      'isWithinLease: () => performance.now() - confirmedAt <',
      'isWithinLease: () => Date.now() - confirmedAt <',
    ],
  ] as const;
  await withBrokenBuild(
    breakage.map(([replace, by]) => ({ file: 'services/decisions/freshness.ts', replace, by })),
    async (load) => {
      expect(await saidAfterLease(-day, await buildOf(load))).toBe('allowed');
    },
  );
});
