import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { type ClockedHost, startClockedHost } from '../support/host-clock.ts';
import { long, summarize } from '../support/long-run.ts';
import { openPrograms } from '../support/programs.ts';
import { makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';
import { preparedCheck, startLoad } from '../support/steady-load.ts';
import { buildVault, done, permission, role } from '../support/vault.ts';

const [hour, day] = [3_600_000, 86_400_000];
const skews = [-day, -hour, hour, day];
const requestTimeoutMs = 4_000;
/** A reading of the database's clock may take nearly half of a request's time, and is behind by no more. */
const inaccuracyMs = requestTimeoutMs / 2;
/** When something ends while all of them are asked, in milliseconds from the beginning. */
const ends = Array.from({ length: long ? 50 : 4 }, (_, place) => inaccuracyMs + (place + 1) * 1_000);
const lastsMs = (ends.at(-1) as number) + inaccuracyMs + 1_000;

let database: TestDatabase;
let sql: postgres.Sql;
let key: string;
let writer: Replica;
let hosts: readonly ClockedHost[] = [];

beforeEach(async () => {
  database = await createWatchedDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
  key = await makeRoot(database.url);
  writer = await startReplica(database.url, key);
  await buildVault(writer, ['past', 'present', 'coming', 'toggled']);
});
afterEach(async () => {
  await Promise.all(hosts.map((host) => host.close()));
  await writer.close();
  await sql.end();
  await database.drop();
});

/** The clock of the database, moved on by ours. */
async function openClock(): Promise<() => number> {
  const [row] = await sql<{ now: number }[]>`
    select extract(epoch from clock_timestamp())::float8 * 1000 as now`;
  const read = performance.now();
  return () => (row?.now ?? 0) + performance.now() - read;
}

const give = (user: string, startsAt: number, expiresAt: number) =>
  done(writer, 'PUT', `/users/${user}/roles/${role}`, {
    startsAt: instant(startsAt),
    expiresAt: instant(expiresAt),
  });
const instant = (milliseconds: number) => new Date(milliseconds).toISOString();

async function makeKey(expiresAt: number): Promise<string> {
  const payload = {
    user: 'root',
    name: 'asks',
    permissions: ['rolecall.check'],
    expiresAt: instant(expiresAt),
  };
  const { status, body } = await writer.request({ method: 'POST', url: '/keys', payload });
  expect(status).toBe(201);
  return (body as { key: string }).key;
}

type Said = boolean | number;

async function ask({ url }: ClockedHost, user: string, by: string, freshness = 'latest'): Promise<Said> {
  const headers = { authorization: `Bearer ${by}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ user, permission, freshness });
  const answer = await fetch(`${url}/authorize`, { method: 'POST', headers, body });
  const { allowed } = (await answer.json()) as { allowed: boolean };
  return answer.status === 200 ? allowed : answer.status;
}

async function toggle({ url }: ClockedHost, isOn: boolean): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, ...(isOn ? { 'content-type': 'application/json' } : {}) };
  const method = isOn ? 'PUT' : 'DELETE';
  const body = isOn ? { body: '{}' } : {};
  const { status } = await fetch(`${url}/users/toggled/roles/${role}`, { method, headers, ...body });
  if (status >= 300) throw new Error(`${method}: ${status}`);
}

/** Grants and keys that have ended, that last, that are to come, and some that end while they are asked about. */
async function prepareEnds(clock: () => number) {
  const begun = clock();
  await give('past', begun - 2 * day, begun - 60_000);
  await give('present', begun - 60_000, begun + hour / 2);
  await give('coming', begun + hour / 2, begun + 2 * day);
  const lasting = await makeKey(begun + hour / 2);
  const endedAt = clock() + 2_000;
  const ended = await makeKey(endedAt);
  await pause(endedAt + inaccuracyMs - clock());
  const first = clock();
  const soon = await Promise.all(
    ends.map(async (after, place) => {
      const [user, until] = [`soon-${place}`, first + after];
      await done(writer, 'POST', '/users', { id: user });
      await give(user, begun - 60_000, until);
      return { user, until, key: await makeKey(until) };
    }),
  );
  return { lasting, ended, soon, over: first + lastsMs };
}

/** Under load the same is asked again and again: who may is the same throughout. */
const steadyQuestions = (by: string) =>
  (['latest', 'lease'] as const).flatMap((freshness) =>
    ['past', 'present', 'coming'].map((user) =>
      preparedCheck(by, { user, permission, freshness }, user === 'present'),
    ),
  );

/** What hosts whose clocks are off say that is not so by the clock of the database, while their clocks jump. */
async function saidWrongly(release?: string) {
  const variables = {
    ROLECALL_REQUEST_TIMEOUT_MS: String(requestTimeoutMs),
    ROLECALL_WRONG_KEY_LIMIT: '1000000',
  };
  hosts = await Promise.all(skews.map((off) => startClockedHost(database.url, off, variables, release)));
  const clock = await openClock();
  const { lasting, ended, soon, over } = await prepareEnds(clock);
  const [known, former] = [steadyQuestions(lasting), steadyQuestions(ended)];
  const loads = hosts.map(({ url }) => startLoad(url, known, { connections: 3, rate: 60 }));
  const refused = hosts.map(({ url }) => startLoad(url, former, { connections: 1, rate: 10 }));

  const wrong: Record<string, number> = {};
  let asked = 0;
  const hold = (what: string, said: readonly Said[], due: Said) => {
    asked += said.length;
    const many = said.filter((one) => one !== due).length;
    if (many > 0) wrong[what] = (wrong[what] ?? 0) + many;
  };
  const all = (question: (host: ClockedHost) => Promise<Said>) => Promise.all(hosts.map(question));
  for (let round = 0; clock() < over; round += 1) {
    // One of the clocks jumps, now and then to the right time.
    hosts[round % hosts.length]?.set([0, ...skews][Math.floor(Math.random() * 5)] as number);
    await toggle(hosts[(round + 1) % hosts.length] as ClockedHost, round % 2 === 0);
    hold('toggled', await all((host) => ask(host, 'toggled', lasting)), round % 2 === 0);

    const { user, until, key: its } = soon[round % soon.length] as (typeof soon)[number];
    const before = clock();
    const freshness = round % 3 === 0 ? 'lease' : 'latest';
    const [grants, keys] = await Promise.all([
      all((host) => ask(host, user, lasting, freshness)),
      all((host) => ask(host, 'present', its, freshness)),
    ]);
    if (clock() < until - inaccuracyMs) {
      hold('a grant before its end', grants, true);
      hold('a key before its end', keys, true);
    } else if (before > until + inaccuracyMs) {
      hold('a grant after its end', grants, false);
      hold('a key after its end', keys, 401);
    }
  }
  await Promise.all([...loads, ...refused].map((load) => load.end()));
  for (const came of loads.map((load) => load.take())) {
    asked += came.latencies.length;
    if (came.wrong > 0) wrong['what was, is or will be'] = came.wrong;
    for (const status of Object.keys(came.statuses)) if (status !== '200') wrong[`${status} by a key`] = 1;
  }
  for (const came of refused.map((load) => load.take()))
    for (const status of Object.keys(came.statuses))
      if (status !== '401') wrong[`${status} by an old key`] = 1;
  return { wrong, asked };
}

test('replicas whose clocks are off and jump decide as one, by the clock of the database (C-08)', {
  timeout: 300_000,
}, async () => {
  const { wrong, asked } = await saidWrongly();
  summarize('C-08, clocks of four replicas jump', { asked, wrong: JSON.stringify(wrong) });
  expect(wrong).toEqual({});
  expect(asked).toBeGreaterThan(1_000);
  const [times] = await sql`
    select count(*)::int as rows, count(*) filter (where time <= before)::int as disordered,
      count(*) filter (where time > clock_timestamp())::int as coming
    from (select time, lag(time) over (order by revision, number) as before from rolecall.journal
      where number = 1) as j where before is not null`;
  expect(times).toMatchObject({ disordered: 0, coming: 0 });
});

test('a build is found out that moves the clock of the database on by that of its host', {
  timeout: 300_000,
}, async () => {
  const programs = await openPrograms();
  const release = await programs.broken({
    file: 'services/decisions/freshness.ts',
    replace: 'const now = () => clock.instant + (performance.now() - clock.readAt);',
    by: 'const now = () => clock.instant + (Date.now() - (clock.hostAt ??= Date.now()));',
  });
  const { wrong } = await saidWrongly(release);
  await programs.remove();
  expect(wrong).toHaveProperty(['what was, is or will be']);
});
