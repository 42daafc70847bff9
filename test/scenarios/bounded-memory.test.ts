import { afterEach, expect, test } from 'vitest';
import { long, summarize } from '../support/long-run.ts';
import { type Replica, type Replicas, startReplicas } from '../support/replicas.ts';
import { ask, buildVault, outcome, permission, role } from '../support/vault.ts';

let started: Replicas;
afterEach(() => started.close());

async function startSmall(): Promise<Replica> {
  started = await startReplicas(1, { variables: { ROLECALL_CACHE_MB: '1' } });
  const [replica] = started.replicas as readonly [Replica];
  await buildVault(replica);
  return replica;
}

/** So many users with so many grants each, past the service. */
async function addUsers(many: number, grants: number): Promise<void> {
  const { sql } = started;
  await sql`insert into rolecall.users (id) select 'user-' || n from generate_series(1, ${many}::int) as n`;
  await sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope)
    select users.pk, roles.pk, case when n = 1 then '' else 'place/' || n end
    from rolecall.users, rolecall.roles, generate_series(1, ${grants}::int) as n
    where users.id like 'user-%' and roles.key = ${role}`;
}

async function cachedUsers(replica: Replica): Promise<number> {
  const text = await replica.runtime.metrics.text();
  return Number(/^rolecall_cached_users (\d+)$/m.exec(text)?.[1]);
}

test('a batch about more than fits in memory is answered all the same, from one revision (L-10)', async () => {
  const replica = await startSmall();
  await addUsers(1_000, 10);
  const checks = Array.from({ length: 1_000 }, (_, index) => ({ user: `user-${index + 1}`, permission }));
  const answer = await replica.request({ method: 'POST', url: '/authorize/batch', payload: { checks } });
  expect(answer.status).toBe(200);
  const { results } = answer.body as { results: { allowed: boolean }[] };
  expect(results.filter(({ allowed }) => allowed)).toHaveLength(1_000);
  expect(await cachedUsers(replica)).toBeLessThan(500);
});

test('a user who has more than fits in memory is answered for all the same', async () => {
  const replica = await startSmall();
  await addUsers(2, 3_000);
  for (const user of ['user-1', 'user-2', 'user-1']) expect(await outcome(replica, { user })).toBe('allowed');
  const checks = [1, 2, 1].map((number) => ({ user: `user-${number}`, permission }));
  const answer = await replica.request({ method: 'POST', url: '/authorize/batch', payload: { checks } });
  expect(answer.status).toBe(200);
});

test('who does not exist takes no memory, however many are asked about (L-10)', async () => {
  const replica = await startSmall();
  await ask(replica, { user: 'root' });
  const before = await cachedUsers(replica);
  for (let round = 0; round < 5; round += 1) {
    const checks = Array.from({ length: 1_000 }, (_, index) => ({
      user: `no-${round}-${index}`,
      permission,
    }));
    const answer = await replica.request({ method: 'POST', url: '/authorize/batch', payload: { checks } });
    expect(answer.status).toBe(200);
  }
  expect(await cachedUsers(replica)).toBe(before);
});

test('whatever is asked about, who is in use stays in memory, and it grows no further (L-10)', {
  timeout: 3_600_000,
}, async () => {
  const replica = await startSmall();
  const [rounds, each, stored] = long ? [50_000, 200, 20_000] : [40, 200, 4_000];
  await addUsers(stored, 1);
  const known = (number: number) => ({ user: `user-${1 + (number % stored)}`, permission });
  const hot = Array.from({ length: 20 }, (_, index) => known(index));
  const reads = async () =>
    Number(
      /^rolecall_row_reads_total\{from="primary"\} (\d+)$/m.exec(await replica.runtime.metrics.text())?.[1],
    );
  const batch = async (checks: readonly object[]) => {
    const { status } = await replica.request({
      method: 'POST',
      url: '/authorize/batch',
      payload: { checks },
    });
    expect(status).toBe(200);
  };
  const most = { users: 0, rssMiB: 0 };
  let [missed, warmRssMiB] = [0, 0];
  for (let round = 0; round < rounds; round += 1) {
    const first = round * each;
    await batch(
      Array.from({ length: each }, (_, index) => {
        const number = first + index;
        if (index % 2 === 0) return known(hot.length + number / 2);
        return index % 4 === 1
          ? { user: `nobody-${number}`, permission }
          : { user: 'user-1', permission: `made.up${number}` };
      }),
    );
    const stranger = { authorization: `Bearer nobody-${round}` };
    const { statusCode } = await replica.app.inject({
      method: 'GET',
      url: '/me/permissions',
      headers: stranger,
    });
    expect([401, 429]).toContain(statusCode);
    const before = await reads();
    await batch(hot);
    if ((await reads()) > before) missed += 1;
    most.users = Math.max(most.users, await cachedUsers(replica));
    const rssMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
    if (round < rounds / 10) warmRssMiB = Math.max(warmRssMiB, rssMiB);
    most.rssMiB = Math.max(most.rssMiB, rssMiB);
  }
  summarize('L-10', {
    questions: rounds * each,
    stored,
    'rounds that missed the hot set': missed,
    ...most,
    warmRssMiB,
  });
  expect(missed).toBeLessThan(rounds / 10);
  expect(most.users).toBeLessThan(stored / 2);
  expect(most.rssMiB - warmRssMiB).toBeLessThan(200);
});
