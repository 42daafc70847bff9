import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { UserId } from '../../src/domain/ids.ts';
import { type AskedMoment, parseMoment } from '../../src/domain/moments.ts';
import { operatorCall } from '../../src/services/call.ts';
import { deadlineIn } from '../../src/storage/deadline.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let admin: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  admin = postgres(service.database.url, { max: 3, onnotice: () => {} });
});
afterAll(async () => {
  await admin.end();
  await service.close();
});

const ask = async (user: string, at: string) =>
  (await service.as().post('/authorize').send({ user, permission: 'orders.load_order', at })).body;
const momentOf = (text: string) => {
  const parsed = parseMoment(text);
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.value;
};
const settle = (at: AskedMoment, ms: number) => service.runtime.past.settle(deadlineIn(ms), at);

/** Makes a user, and gives a role in a write that has its time and waits, with the revision lock, for who has the user's row. */
async function holdGrant(user: string) {
  const made = (await service.as().post('/users').send({ id: user }).expect(201)).body.revision as string;
  const holder = await admin.reserve();
  await holder`begin`;
  await holder`select 1 from rolecall.users where id = ${user} for update`;
  const writing = service
    .as()
    .put(`/users/${user}/roles/loader`)
    .send({})
    .expect(201)
    .then(({ body }) => body.revision as string);
  const waiting = () => admin`select 1 from pg_stat_activity
    where datname = current_database() and application_name = 'rolecall' and wait_event_type = 'Lock'`;
  while ((await waiting()).length === 0) await sleep(5);
  const [row] = await admin<[{ later: string }]>`select to_char(clock_timestamp() at time zone 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as later`;
  const commit = async () => {
    await holder`commit`;
    holder.release();
    return writing;
  };
  return { made, later: row.later, commit };
}

test('what is asked about a time is answered alike while a write of that time is under way and afterwards', async () => {
  const { later: at, commit } = await holdGrant('una');
  const root = service.as();
  let answered = 0;
  const asked = [
    root.post('/authorize').send({ user: 'una', permission: 'orders.load_order', at }),
    root.get('/users/una/permissions').query({ at }),
    root.get('/users/una/explain').query({ at, permission: 'orders.load_order' }),
    root.get('/permissions/orders_load_order/users').query({ at, limit: 200 }),
  ].map(async (request) => {
    const { body } = await request.expect(200);
    answered += 1;
    return body;
  });
  await sleep(300);
  expect(answered).toBe(0);
  const revision = await commit();
  const [may, list, why, who] = await Promise.all(asked);
  expect(may).toMatchObject({ allowed: true, revision });
  expect(list).toMatchObject({ roles: expect.arrayContaining(['loader']), revision });
  expect(why).toMatchObject({ allowed: true, revision });
  expect(who.data).toContainEqual(expect.objectContaining({ user: 'una' }));
  expect(await ask('una', at)).toEqual(may);
});

test('a difference to the present has what is under way', async () => {
  const { made, commit } = await holdGrant('udo');
  const call = operatorCall(20_000);
  const diffed = service.runtime.pastDiff.between(call, 'udo' as UserId, momentOf(made), null);
  await sleep(100);
  await commit();
  const gained = expect.arrayContaining(['orders_load_order']);
  expect(await diffed).toMatchObject({ scopes: [{ scope: '', gained }] });
});

test('revisions, and what was before the newest, wait for nothing; what waits too long is unavailable', async () => {
  const { at: before } = await ask('root', (await holdGrant('ule').then(({ commit }) => commit())) as string);
  const { made, later, commit } = await holdGrant('ulf');
  expect(await ask('ulf', made)).toMatchObject({ reason: 'not_granted' });
  expect(await ask('ulf', before)).toMatchObject({ reason: 'unknown_user' });
  await expect(settle(momentOf(later), 100)).rejects.toMatchObject({ code: 'unavailable' });
  const [row] = await admin<
    [{ next: string }]
  >`select to_char(clock_timestamp() at time zone 'UTC' + interval '1 s',
    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as next`;
  await expect(settle(momentOf(row.next), 100)).rejects.toMatchObject({ code: 'invalid_input' });
  await commit();
});

test('whoever waits is in no writer’s way, holds no connection, and does not wait for writes that came later', async () => {
  const first = await holdGrant('uma');
  const asked = Array.from({ length: 40 }, () => ask('uma', first.later));
  expect((await service.as().post('/authorize').send({ permission: 'orders.load_order' })).status).toBe(200);
  await first.commit();
  const second = await holdGrant('ute');
  for (const answer of await Promise.all(asked)) expect(answer).toMatchObject({ allowed: true });
  await second.commit();
});
