import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { long, spread, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, start } from '../support/program.ts';
import { makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { type OwnServer, startOwnServer } from '../support/servers.ts';
import { type Came, type Prepared, preparedCheck, startLoad } from '../support/steady-load.ts';
import { buildVault, done, grant, permission } from '../support/vault.ts';

const people = 2_000;
/** How many of them are replaced in a minute, and how many keys. */
const churn = { people: people / 20, keys: 1 };
const keys = 20;
const [soakMinutes, faultAtMinutes, overloadMinutes] = [20, 4, 3];
const poolSize = 5;

let server: OwnServer;
let sql: postgres.Sql;
let key: string;
let writer: Replica;
let program: Program;
let url: string;

beforeEach(async () => {
  server = await startOwnServer();
  sql = postgres(server.url, { max: 1, onnotice: () => {} });
  key = await makeRoot(server.url);
  writer = await startReplica(server.url, key);
  await buildVault(writer);
  await sql`insert into rolecall.users (id) select 'user-' || n from generate_series(1, ${people}::int) as n`;
  await sql`insert into rolecall.user_roles (user_pk, role_pk, scope)
    select users.pk, roles.pk, '' from rolecall.users, rolecall.roles
    where users.id like 'user-%' and users.pk % 2 = 0 and roles.key = 'keeper'`;
});
afterEach(async () => {
  program.child.kill('SIGKILL');
  await program.ended();
  await writer.close();
  await sql.end();
  await server.remove();
});

async function serve(variables: Readonly<Record<string, string>> = {}): Promise<void> {
  const environment = environmentFor(server.url, {
    LOG_LEVEL: 'warn',
    ROLECALL_POOL_SIZE: String(poolSize),
    ...variables,
  });
  program = start(['serve'], { ...environment, LOG_LEVEL: 'info' });
  [, url = ''] = await program.prints(/"msg":"listening on ([^"]+)"/);
}

async function makeKey(name: string): Promise<{ id: string; key: string }> {
  const { status, body } = await writer.request({
    method: 'POST',
    url: '/keys',
    payload: { user: 'root', name, permissions: ['rolecall.check'] },
  });
  expect(status).toBe(201);
  return body as { id: string; key: string };
}

/** Everybody is asked about once; every second one may. */
async function questions(by: readonly string[]): Promise<Prepared[]> {
  const rows = await sql<{ id: string; may: boolean }[]>`
    select id, pk % 2 = 0 as may from rolecall.users where id like 'user-%' order by random()`;
  return rows.map(({ id, may }, place) => {
    const freshness = place % 4 === 0 ? 'lease' : 'latest';
    return preparedCheck(by[place % by.length] as string, { user: id, permission, freshness }, may);
  });
}

async function ceiling(prepared: readonly Prepared[], connections: number): Promise<Came> {
  const warming = startLoad(url, prepared, { connections });
  await pause(5_000);
  await warming.end();
  const load = startLoad(url, prepared, { connections });
  await pause(10_000);
  const came = load.take();
  await load.end();
  return came;
}

const rateOf = ({ statuses, seconds }: Came) => (statuses[200] ?? 0) / seconds;

async function figures(): Promise<(name: string) => number> {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
  const text = await answer.text();
  return (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

interface Sample {
  readonly minutes: number;
  readonly rss: number;
  readonly heap: number;
  readonly handles: number;
  readonly files: number;
  readonly connections: number;
  readonly listeners: number;
}

async function sample(begun: number): Promise<Sample> {
  const [metric, [row]] = await Promise.all([
    figures(),
    sql<{ connections: number; listeners: number }[]>`
      select count(*)::int as connections,
        (count(*) filter (where application_name = 'rolecall listener'))::int as listeners
      from pg_stat_activity where application_name like 'rolecall%'`,
  ]);
  return {
    minutes: (performance.now() - begun) / 60_000,
    rss: metric('process_resident_memory_bytes') / 2 ** 20,
    heap: metric('nodejs_heap_size_used_bytes') / 2 ** 20,
    handles: metric('nodejs_active_handles_total'),
    files: metric('process_open_fds'),
    connections: row?.connections ?? 0,
    listeners: row?.listeners ?? 0,
  };
}

/** Least squares, by the hour. */
function slopeOf(points: readonly (readonly [minutes: number, value: number])[]): number {
  const mean = (place: 0 | 1) => points.reduce((sum, point) => sum + point[place], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  return (60 * over) / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}

/** The least of each minute: what is left after the collector has been. */
function floors(samples: readonly Sample[], of: (one: Sample) => number): [number, number][] {
  const minutes = [...new Set(samples.map((one) => Math.floor(one.minutes)))];
  return minutes.map((minute) => {
    const within = samples.filter((one) => Math.floor(one.minutes) === minute).map(of);
    return [minute, Math.min(...within)];
  });
}

describe.runIf(long)('a process of the service under load for long', () => {
  test('takes no more memory, handles and connections as time goes on, through churn and faults (L-05)', {
    timeout: 3_600_000,
  }, async () => {
    const made = await Promise.all(Array.from({ length: keys }, (_, number) => makeKey(`soak-${number}`)));
    await serve();
    const prepared = await questions(made.map((each) => each.key));
    const most = rateOf(await ceiling(prepared, 32));
    const load = startLoad(url, prepared, { connections: 32, rate: most * 0.7 });
    const begun = performance.now();
    const samples: Sample[] = [];
    const all: Came[] = [];
    let faults = 0;
    while (performance.now() - begun < soakMinutes * 60_000) {
      const minute = (performance.now() - begun) / 60_000;
      // Who comes and goes, and a key that is used once.
      for (let count = 0; count < churn.people / 6; count += 1) {
        const id = `passing-${crypto.randomUUID()}`;
        await done(writer, 'POST', '/users', { id });
        await grant(writer, id);
        const asked = { user: id, permission };
        expect((await writer.request({ method: 'POST', url: '/authorize', payload: asked })).status).toBe(
          200,
        );
        await done(writer, 'DELETE', `/users/${id}`);
      }
      const passing = await makeKey('passing');
      const headers = { authorization: `Bearer ${passing.key}` };
      expect((await fetch(`${url}/me/permissions`, { headers })).status).toBe(200);
      await done(writer, 'DELETE', `/keys/${passing.id}`);
      if (minute > (faults + 1) * faultAtMinutes) {
        faults += 1;
        if (faults % 2 === 1)
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'rolecall listener'`;
        else {
          await server.kill();
          await server.start();
        }
        await pause(5_000);
      }
      samples.push(await sample(begun));
      all.push(load.take());
      await pause(8_000);
    }
    await load.end();

    const statuses: Record<string, number> = {};
    for (const came of all)
      for (const [status, many] of Object.entries(came.statuses))
        statuses[status] = (statuses[status] ?? 0) + many;
    const wrong = all.reduce((sum, came) => sum + came.wrong, 0);
    // The collector takes its time to find out how much room it needs.
    const warm = samples.filter(({ minutes }) => minutes > soakMinutes / 3);
    const heap = floors(warm, (one) => one.heap);
    const range = (of: (one: Sample) => number) =>
      `${Math.min(...warm.map(of))} to ${Math.max(...warm.map(of))}`;
    const p99 = (part: readonly Came[]) => spread(part.flatMap((came) => came.latencies))['p99'] ?? '';
    summarize('L-05', {
      minutes: soakMinutes,
      'ceiling, answers per second': Math.round(most),
      'answers per second': Math.round((statuses[200] ?? 0) / (soakMinutes * 60)),
      statuses: JSON.stringify(statuses),
      wrong,
      faults,
      'resident MB, first and last': `${warm[0]?.rss.toFixed(0)} ${warm.at(-1)?.rss.toFixed(0)}`,
      'heap MB after collection, first and last': `${heap[0]?.[1].toFixed(1)} ${heap.at(-1)?.[1].toFixed(1)}`,
      'resident MB per hour': slopeOf(floors(warm, (one) => one.rss)).toFixed(1),
      'heap MB per hour': slopeOf(heap).toFixed(1),
      handles: range((one) => one.handles),
      files: range((one) => one.files),
      connections: range((one) => one.connections),
      listeners: range((one) => one.listeners),
      'p99 ms, first and last third': `${p99(all.slice(0, all.length / 3))} ${p99(all.slice((all.length * 2) / 3))}`,
    });
    expect(wrong).toBe(0);
    expect(Object.keys(statuses).filter((status) => status !== '200' && status !== '503')).toEqual([]);
    // A leak of ten bytes with each answer would be more.
    const growth = (heap.at(-1)?.[1] ?? 0) - (heap[0]?.[1] ?? 0);
    expect(growth).toBeLessThan((10 * (statuses[200] ?? 0) * 2) / 3 / 2 ** 20);
    expect(warm.every(({ listeners }) => listeners <= 1)).toBe(true);
    expect(Math.max(...warm.map(({ handles }) => handles))).toBeLessThan(
      Math.min(...warm.map(({ handles }) => handles)) + poolSize + 8,
    );
  });

  test.for([
    ['all of which it takes on', 2_000],
    ['two thirds of which it refuses', 64],
  ] as const)(
    'asked three times as much at once, %s, goes on answering, and is well again at once (L-06)',
    {
      timeout: 1_800_000,
    },
    async ([how, bound]) => {
      const [greedy, modest] = [await makeKey('greedy'), await makeKey('modest')];
      await serve({ ROLECALL_MAX_IN_FLIGHT: String(bound) });
      const [byGreedy, byModest] = [await questions([greedy.key]), await questions([modest.key])];
      const alone = await ceiling([...byGreedy, ...byModest], 32);
      const most = rateOf(alone);

      // One client asks for nearly all of it and comes back at once whatever it is told; another asks as it always does.
      const calm = startLoad(url, byModest, { connections: 8, rate: most / 10 });
      await pause(10_000);
      const before = calm.take();
      const flood = startLoad(url, byGreedy, { connections: 3 * 64 - 8 });
      await pause(overloadMinutes * 60_000);
      const [flooded, during] = [flood.take(), calm.take()];
      const over = performance.now();
      await flood.end();
      for (;;) {
        calm.take();
        await pause(250);
        const came = calm.take();
        if (Object.keys(came.statuses).every((status) => status === '200')) break;
      }
      const recovery = performance.now() - over;
      await pause(10_000);
      const after = calm.take();
      await calm.end();
      const refused = (came: Came) => (came.statuses[503] ?? 0) + (came.statuses[429] ?? 0);
      const goodput = rateOf(flooded) + rateOf(during);
      const p99 = ({ latencies }: Came) => spread(latencies)['p99'] ?? '';
      summarize(`L-06, ${how}`, {
        'ceiling, answers per second': Math.round(most),
        'answered in overload': Math.round(goodput),
        share: (goodput / most).toFixed(2),
        'refused per second': Math.round(refused(flooded) / flooded.seconds),
        'statuses of the other client': JSON.stringify(during.statuses),
        'p99 ms of the other client before, during, after': `${p99(before)} ${p99(during)} ${p99(after)}`,
        'recovery ms': Math.round(recovery),
      });
      for (const came of [before, flooded, during, after]) expect(came.wrong).toBe(0);
      for (const came of [flooded, during])
        expect(
          Object.keys(came.statuses).filter((status) => !['200', '429', '503'].includes(status)),
        ).toEqual([]);
      expect(Object.keys(during.statuses)).toEqual(['200']);
      expect(refused(flooded) > 0).toBe(bound === 64);
      expect(goodput).toBeGreaterThan(0);
    },
  );
});
