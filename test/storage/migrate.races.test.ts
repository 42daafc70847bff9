import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import { environmentFor, type Program, start } from '../support/program.ts';
import { openPrograms, type Programs } from '../support/programs.ts';

let programs: Programs;
/** Folders of the compiled program: as it ships, with two slow steps after those, and with one that waits to be let in. */
let shipped: string;
let slow: string;
let gated: string;

const programWith = (steps: Readonly<Record<string, string>>) =>
  programs.withSteps(
    Object.fromEntries(
      Object.entries(steps).map(([name, up]) => [name, [up, `drop table rolecall.${name.slice(5)}`]]),
    ),
  );

beforeAll(async () => {
  programs = await openPrograms();
  shipped = await programWith({});
  slow = await programWith({
    '0101_slow_one': `
      create table rolecall.slow_one (n integer);
      select pg_sleep(0.15);
      insert into rolecall.slow_one values (1), (2);
      select pg_sleep(0.15);
      create index slow_one_index on rolecall.slow_one (n);`,
    '0102_slow_two': `
      create table rolecall.slow_two (n integer);
      select pg_sleep(0.15);
      insert into rolecall.slow_two select n from rolecall.slow_one;
      create index slow_two_index on rolecall.slow_two (n);
      select pg_sleep(0.15);`,
  });
  // The gate's step also shortens the minute that its session may idle, so that no test need wait for it, and waits at
  // the gate for as long as it is closed.
  gated = await programWith({
    '0101_gated': `
      set local idle_in_transaction_session_timeout = '300ms';
      set local lock_timeout = 0;
      create table rolecall.gated ();
      select * from public.gate;`,
  });
});
afterAll(() => programs.remove());

let database: TestDatabase;
let sql: postgres.Sql;
let running: Program[] = [];
beforeEach(async () => {
  database = await createEmptyDatabase();
  sql = connect(database);
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  running = [];
  await sql.end();
  await database.drop();
});

const connect = ({ url }: TestDatabase) => postgres(url, { max: 1, onnotice: () => {} });

function migrate(program: string, url = database.url): Program {
  const process = start(['migrate', 'up', '--json'], environmentFor(url), { cwd: program });
  running.push(process);
  return process;
}

const allSteps = async (program: string) =>
  (await readSteps(join(program, 'drizzle'))).map(({ name }) => name);

/** Ends well, and resolves to the steps that this process ran. */
async function applied(program: Program): Promise<readonly string[]> {
  const { code, stdout, stderr } = await program.ended();
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return (JSON.parse(stdout) as { applied: string[] }).applied;
}

async function until(found: () => PromiseLike<readonly unknown[]>): Promise<void> {
  while ((await found()).length === 0) await sleep(5);
}

/** Keeps the step of the gated program waiting until the function it resolves to is called. */
async function closeGate(): Promise<() => Promise<void>> {
  await sql`create table public.gate ()`;
  const keeper = connect(database);
  await keeper`begin`;
  await keeper`lock table public.gate`;
  return async () => {
    await keeper`commit`;
    await keeper.end();
  };
}

const atTheGate = () => sql`select 1 from pg_stat_activity where datname = current_database()
  and application_name = 'rolecall migrate' and wait_event_type = 'Lock'`;

/** The tables of the first step, by name. */
async function firstTables(): Promise<readonly string[]> {
  const [first] = await readSteps();
  return (first?.catalog ?? []).flatMap(({ name }) => /^table (\w+)$/.exec(name)?.slice(1) ?? []);
}

/** For each step whether the ledger has it, and how many of its pieces are there. */
async function pieces(
  on: postgres.Sql,
): Promise<Record<string, readonly [recorded: boolean, pieces: number]>> {
  const [row] = await on<[{ tables: number; one: number; two: number; ledger: boolean }]>`
    select (select count(*)::int from pg_class where relnamespace = to_regnamespace('rolecall') and relkind = 'r'
        and relname = any(${await firstTables()})) as tables,
      (select count(*)::int from pg_class where relname in ('slow_one', 'slow_one_index')) as one,
      (select count(*)::int from pg_class where relname in ('slow_two', 'slow_two_index')) as two,
      to_regclass('rolecall.migrations') is not null as ledger`;
  const ledger = row.ledger ? await on<{ name: string }[]>`select name from rolecall.migrations` : [];
  const has = (step: string) => ledger.some(({ name }) => name === step);
  const rows = async (table: string, whole: boolean) =>
    whole ? (await on.unsafe<{ n: number }[]>(`select n from rolecall.${table}`)).length : 0;
  return {
    '0000_create_rolecall': [has('0000_create_rolecall'), row.tables],
    '0101_slow_one': [has('0101_slow_one'), row.one + (await rows('slow_one', row.one > 0))],
    '0102_slow_two': [has('0102_slow_two'), row.two + (await rows('slow_two', row.two > 0))],
  };
}

describe('many processes that migrate at once', () => {
  test('all succeed on an empty database, each step having run once (1.4)', async () => {
    const processes = Array.from({ length: 20 }, () => migrate(shipped));
    const ran = await Promise.all(processes.map(applied));
    expect(ran.flat().sort()).toEqual(await allSteps(shipped));
    const ledger = await sql<{ name: string }[]>`select name from rolecall.migrations order by position`;
    expect(ledger.map(({ name }) => name)).toEqual(await allSteps(shipped));
  });

  const rounds = long ? 50 : 1;

  /** Rounds on a database of their own, in each eight from empty and eight from the release before. */
  async function eightAtOnce(
    way: string,
    run: (program: string, url: string) => Promise<readonly string[]>,
    reach: (url: string) => Promise<{ readonly url: string; stop(): Promise<void> }>,
  ): Promise<void> {
    const begun = performance.now();
    for (let round = 0; round < rounds; round += 1) {
      const own = await createEmptyDatabase();
      const watch = connect(own);
      const { url, stop } = await reach(own.url);
      const eight = (program: string) =>
        Promise.all(Array.from({ length: 8 }, () => run(program, url))).then((ran) => ran.flat().sort());
      expect(await eight(shipped)).toEqual(await allSteps(shipped));
      expect(await eight(slow)).toEqual(['0101_slow_one', '0102_slow_two']);
      expect(await pieces(watch)).toMatchObject({ '0101_slow_one': [true, 4], '0102_slow_two': [true, 4] });
      const ledger = await watch<{ name: string }[]>`select name from rolecall.migrations order by position`;
      expect(ledger.map(({ name }) => name)).toEqual(await allSteps(slow));
      await watch.end();
      await stop();
      await own.drop();
    }
    const seconds = Math.round((performance.now() - begun) / 1_000);
    summarize(`F-15, eight at once ${way}`, { rounds, runs: rounds * 16, failed: 0, seconds });
  }

  test('eight all succeed from empty and from the release before, each step having run once (F-15)', async () => {
    await eightAtOnce(
      'from processes of their own',
      (program, url) => applied(migrate(program, url)),
      async (url) => ({ url, stop: async () => {} }),
    );
  }, 3_600_000);

  test.skipIf(!hasPgbouncer)(
    "so do eight behind Debian's pgbouncer in transaction mode (F-15)",
    async () => {
      await eightAtOnce(
        'behind pgbouncer',
        async (program, url) => migrateUp({ url, steps: await readSteps(join(program, 'drizzle')) }),
        (url) => startPgbouncer(url),
      );
    },
    3_600_000,
  );

  test('eight that migrate and then serve, as a deployment does, all serve (F-15)', async () => {
    const serving = Array.from({ length: 8 }, async () => {
      await applied(migrate(shipped));
      const serve = start(['serve'], environmentFor(database.url), { cwd: shipped });
      running.push(serve);
      const [, url] = await serve.prints(/"msg":"listening on ([^"]+)"/);
      return url as string;
    });
    const urls = await Promise.all(serving);
    const environment = environmentFor(database.url, { ROLECALL_REQUEST_TIMEOUT_MS: '20000' });
    expect(await start(['matrix', 'apply'], environment, { cwd: shipped }).ended()).toMatchObject({
      code: 0,
    });
    for (const url of urls) await until(async () => ((await fetch(`${url}/readyz`)).ok ? [url] : []));
  });

  test('go on when the one that holds the lock is killed, and tell people that they wait (1.4)', async () => {
    const open = await closeGate();
    const first = migrate(gated);
    await until(atTheGate);
    const others = Array.from({ length: 5 }, () => migrate(gated));
    await Promise.all(others.map((other) => other.prints(/waiting for another process/)));
    first.child.kill('SIGKILL');
    await open();
    const ran = await Promise.all(others.map(applied));
    expect(ran.flat()).toEqual(['0101_gated']);
  });

  test('some up and some down leave every step done wholly or not at all', async () => {
    const steps = await readSteps(join(slow, 'drizzle'));
    const quick = steps.map((step) => ({ ...step, up: step.up.replaceAll('0.15', '0.01') }));
    const options = { url: database.url, steps: quick };
    for (let round = 0; round < 3; round += 1)
      await Promise.all(
        Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? migrateUp(options) : migrateDown(options, 2))),
      );
    for (const [recorded, count] of Object.values(await pieces(sql))) expect(count > 0).toBe(recorded);
    await migrateUp(options);
    expect(await pieces(sql)).toMatchObject({ '0101_slow_one': [true, 4], '0102_slow_two': [true, 4] });
  });

  test('give up waiting when told how long, and say so', async () => {
    const open = await closeGate();
    const first = migrate(gated);
    await until(atTheGate);
    const lines: string[] = [];
    const waiting = migrateUp({
      url: database.url,
      steps: await readSteps(join(gated, 'drizzle')),
      lockWaitMs: 100,
      onProgress: (line) => lines.push(line),
    });
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable' });
    expect(lines).toEqual(['waiting for another process that is migrating this database']);
    await open();
    expect(await applied(first)).toEqual(await allSteps(gated));
  });
});

describe('a process that migrates', () => {
  test('killed at any moment leaves every step done wholly or not at all, and the lock free (F-16)', async () => {
    const whole: Record<string, number> = {};
    await applied(migrate(slow));
    for (const [step, [, count]] of Object.entries(await pieces(sql))) whole[step] = count;
    const outcomes = new Set<string>();
    const steps = await readSteps(join(slow, 'drizzle'));

    const round = async () => {
      const own = await createEmptyDatabase();
      const watch = connect(own);
      try {
        const process = migrate(slow, own.url);
        const sessions = () => watch`select 1 from pg_stat_activity
          where datname = current_database() and application_name = 'rolecall migrate'`;
        await until(sessions);
        await sleep(Math.random() * 900);
        process.child.kill('SIGKILL');
        await process.ended();
        await until(async () => ((await sessions()).length === 0 ? [1] : []));
        const left = await pieces(watch);
        for (const [step, [recorded, count]] of Object.entries(left))
          expect([step, recorded, count]).toEqual([step, recorded, recorded ? whole[step] : 0]);
        outcomes.add(JSON.stringify(left));
        await migrateUp({ url: own.url, steps });
        expect(Object.values(await pieces(watch)).map(([, count]) => count)).toEqual(Object.values(whole));
      } finally {
        await watch.end();
        await own.drop();
      }
    };
    for (let batch = 0; batch < 4; batch += 1) await Promise.all([round(), round(), round()]);
    expect(outcomes.size).toBeGreaterThan(1);
  });

  test('may stay idle in its transaction for a minute, and for no longer (F-15)', async () => {
    const program = await programWith({
      '0101_limits': `create table rolecall.limits as
        select current_setting('idle_in_transaction_session_timeout') as idle, current_setting('TimeZone') as zone,
          current_setting('statement_timeout') as statement, current_setting('application_name') as name`,
    });
    await applied(migrate(program));
    expect([...(await sql`select * from rolecall.limits`)]).toEqual([
      { idle: '1min', zone: 'UTC', statement: '0', name: 'rolecall migrate' },
    ]);
  });

  test('frozen while it holds the lock loses it, and says so when it thaws (F-15)', async () => {
    const open = await closeGate();
    const frozen = migrate(gated);
    await until(atTheGate);
    frozen.child.kill('SIGSTOP');
    await open();
    expect(await applied(migrate(gated))).toEqual(['0101_gated']);
    frozen.child.kill('SIGCONT');
    await expectUnavailable(frozen);
    expect(await sql`select 1 from rolecall.migrations where name = '0101_gated'`).toHaveLength(1);
  });

  test('whose connection is lost says so in a sentence, keeps nothing of the step, and can be run again (F-02)', async () => {
    const open = await closeGate();
    const process = migrate(gated);
    await until(atTheGate);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'rolecall migrate'`;
    await expectUnavailable(process);
    expect(await sql`select to_regclass('rolecall.gated') as gated`).toEqual([{ gated: null }]);
    await open();
    expect(await applied(migrate(gated))).toEqual(['0101_gated']);
  });

  async function expectUnavailable(program: Program): Promise<void> {
    const { code, stderr } = await program.ended();
    expect(stderr).toMatch(/\nrolecall: [^\n]+\n$/);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(3);
  }
});
