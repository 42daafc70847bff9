import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RolecallError } from '../../src/domain/errors.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { seesEverything } from '../../src/domain/sight.ts';
import { type DatabaseOptions, openDatabase } from '../../src/storage/database.ts';
import { deadlineIn } from '../../src/storage/deadline.ts';
import type { IdempotencyKey } from '../../src/storage/idempotency.ts';
import {
  openTransactions,
  type Transactions,
  type WriteContext,
  type WriteHandle,
} from '../../src/storage/transaction.ts';
import { insertUser } from '../../src/storage/users.ts';
import { openWriteSeries } from '../../src/storage/write-series.ts';
import { type Breakage, type Load, withBrokenBuild } from '../support/broken-build.ts';
import { startChaosProxy } from '../support/chaos-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { testJournalKey } from '../support/runtime.ts';

let database: TestDatabase;
let transactions: Transactions;
let admin: postgres.Sql;
let undo: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  admin = postgres(database.url, { max: 3, onnotice: () => {} });
  undo = [() => database.drop(), () => admin.end()];
  transactions = open();
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

/** What is tried: as it is, or of a broken build. */
interface Build {
  readonly openDatabase: typeof openDatabase;
  readonly openTransactions: typeof openTransactions;
  readonly openWriteSeries: typeof openWriteSeries;
}

const soundBuild: Build = { openDatabase, openTransactions, openWriteSeries };

async function buildOf(load: Load): Promise<Build> {
  const { openDatabase } = await load<Pick<Build, 'openDatabase'>>('storage/database.ts');
  const { openTransactions } = await load<Pick<Build, 'openTransactions'>>('storage/transaction.ts');
  const { openWriteSeries } = await load<Pick<Build, 'openWriteSeries'>>('storage/write-series.ts');
  return { openDatabase, openTransactions, openWriteSeries };
}

/** What one process of the service would have. */
function open(options: Partial<DatabaseOptions> = {}, build = soundBuild): Transactions {
  const pool = build.openDatabase({
    url: database.url,
    poolSize: 8,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
    ...options,
  });
  undo.push(() => pool.close());
  return build.openTransactions(pool, testJournalKey);
}

function context(more: Partial<WriteContext> = {}): WriteContext {
  return {
    actor: { kind: 'operator' },
    requestId: null,
    deadline: deadlineIn(20_000),
    dryRun: false,
    sight: seesEverything,
    idempotency: null,
    ...more,
  };
}

function keyOf(key: string): IdempotencyKey {
  return { credential: 'key:1', key, fingerprint: Buffer.alloc(32, 1) };
}

/** Makes a user and notes it. */
async function make(handle: WriteHandle, id: string): Promise<string> {
  const row = await insertUser(handle, { id: id as UserId, email: null, active: true });
  handle.record({ kind: 'user_created', userPk: row.pk, after: { active: true }, personal: { id } });
  return id;
}

/** Everything that a write may leave behind. */
async function traces() {
  const [row] = await admin<[{ revision: number; entries: number; answers: number; users: string[] }]>`
    select (select value::int from rolecall.revision) as revision,
      (select count(*)::int from rolecall.journal) as entries,
      (select count(*)::int from rolecall.idempotency) as answers,
      array(select id from rolecall.users order by id) as users`;
  return row;
}

/** Waits for the server: until a query that looks at its sessions or rows finds something. */
async function until(found: () => PromiseLike<readonly unknown[]>): Promise<void> {
  while ((await found()).length === 0) await sleep(5);
}

const idle = () => admin`select 1 where not exists (select 1 from pg_stat_activity
  where datname = current_database() and application_name = 'rolecall' and state <> 'idle')`;
const waiting = () => admin`select 1 from pg_stat_activity
  where datname = current_database() and application_name = 'rolecall' and wait_event_type = 'Lock'`;

const numberOf = (revision: string) => Number(revision.split('-')[1]);

describe('writers at once', () => {
  test('commit in the order of their revisions, without a gap, each later than the one before', async () => {
    const listener = postgres(database.url, { max: 1 });
    undo.push(() => listener.end());
    const committed: number[] = [];
    await listener.listen('rolecall_revision', (text) => committed.push(numberOf(text)));
    const before = await traces();
    const services = [transactions, open()];
    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, writer) => {
        const own: number[] = [];
        for (let n = 0; n < 3; n += 1) {
          const service = services[(writer + n) % 2] as Transactions;
          const written = service.write(context(), async (handle) => {
            await handle.sql`select pg_sleep(random() * 0.005)`;
            if (writer % 8 === 1) throw new RolecallError('role_in_use', 'no');
            if (writer % 8 === 2) return;
            await make(handle, `${writer}-${n}`);
            await handle.sql`select pg_sleep(random() * 0.005)`;
            handle.record({ kind: 'grant_set' });
          });
          await written.then(
            ({ changed, revision }) => changed && own.push(numberOf(revision)),
            ({ code }: RolecallError) => expect(code).toBe('role_in_use'),
          );
        }
        return own;
      }),
    );
    const expected = Array.from({ length: 48 * 3 }, (_, n) => before.revision + 1 + n);
    await until(async () => committed.slice(expected.length - 1));
    expect(committed).toEqual(expected);
    expect(answers.flat().sort((one, other) => one - other)).toEqual(expected);
    for (const own of answers) expect(own).toEqual([...own].sort((one, other) => one - other));

    const rows = await admin<{ revision: number; numbers: number[]; later: boolean; times: number }[]>`
      select number::int as revision, numbers, times, earliest > lag(latest, 1, '-infinity') over (order by number) as later
      from (select revision, array_agg(number order by number), count(distinct time)::int, min(time), max(time)
        from rolecall.journal where revision > ${before.revision} group by revision
      ) as made (number, numbers, times, earliest, latest) order by number`;
    expect(rows.map(({ revision }) => revision)).toEqual(expected);
    for (const row of rows) expect(row).toMatchObject({ numbers: [1, 2], times: 1, later: true });
  });

  test('are never seen half way: the newest journal row is always that of the present revision', async () => {
    let writing = true;
    const work = Promise.all(
      Array.from({ length: 40 }, (_, n) => transactions.write(context(), (handle) => make(handle, `${n}`))),
    ).finally(() => {
      writing = false;
    });
    while (writing) {
      const [row] = await admin`select value = (select max(revision) from rolecall.journal) as same,
        journal_head = (select hmac from rolecall.journal order by revision desc, number desc limit 1) as sealed
        from rolecall.revision`;
      expect(row).toEqual({ same: true, sealed: true });
    }
    await work;
  });

  /** What comes of writes of four processes to the same rows, in any order: how many were made again, and what failed. */
  async function collisions(rounds: number, build = soundBuild) {
    const name = new URL(database.url).pathname.slice(1);
    await admin`alter database ${admin(name)} set deadlock_timeout = '50ms'`;
    const processes = Array.from({ length: 4 }, () => open({}, build));
    const ids = Array.from({ length: 12 }, (_, n) => `user-${n}`);
    await transactions.write(context(), async (handle) => {
      for (const id of ids) await make(handle, id);
    });
    let attempts = 0;
    const failed: string[] = [];
    const write = (service: Transactions) =>
      service
        .write(context(), async (handle) => {
          attempts += 1;
          for (const id of [...ids].sort(() => Math.random() - 0.5).slice(0, 4))
            await handle.sql`update rolecall.users set active = not active where id = ${id}`;
          handle.record({ kind: 'user_updated' });
        })
        .catch(({ code }: RolecallError) => failed.push(code));
    const writer = async (_: unknown, number: number) => {
      for (let round = 0; round < rounds; round += 1) await write(processes[number % 4] as Transactions);
    };
    await Promise.all(Array.from({ length: 64 }, writer));
    return { again: attempts - 64 * rounds, failed };
  }

  test('on the same rows in any order never deadlock, so none is made twice (F-12)', {
    timeout: 600_000,
  }, async () => {
    const rounds = long ? 157 : 1;
    const seen = await collisions(rounds);
    summarize('F-12', { writes: 64 * rounds, 'made again': seen.again });
    expect(seen).toEqual({ again: 0, failed: [] });
  });

  test('get into each other’s way in a build that does not take the lock first (F-12)', async () => {
    const breakage: Breakage = {
      file: 'storage/journal.ts',
      replace: 'from rolecall.revision for update)',
      by: 'from rolecall.revision)',
    };
    await withBrokenBuild(breakage, async (load) => {
      const { again, failed } = await collisions(1, await buildOf(load));
      expect(again + failed.length).toBeGreaterThan(0);
    });
  });

  test('with one Idempotency-Key have one effect and one answer (D-08)', async () => {
    const services = [transactions, open()];
    const before = await traces();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (services[n % 2] as Transactions).write(context({ idempotency: keyOf('k') }), (handle) =>
          make(handle, 'ada'),
        ),
      ),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await traces()).toEqual({
      revision: before.revision + 1,
      entries: before.entries + 1,
      answers: 1,
      users: ['ada'],
    });
  });

  test.each([
    ['commits nothing', 'rollback'],
    ['commits something', 'commit'],
  ])('read the time after the lock, also when the one before them %s', async (_, end) => {
    const holder = await admin.reserve();
    await holder`begin`;
    await holder`update rolecall.revision set time = time`;
    const writing = transactions.write(context(), (handle) => make(handle, 'ada'));
    await until(waiting);
    await holder`select pg_sleep(0.05)`;
    const [{ released }] = await holder<[{ released: string }]>`select clock_timestamp()::text as released`;
    await holder.unsafe(end);
    holder.release();
    const revision = numberOf((await writing).revision);
    expect(
      await admin`select 1 from rolecall.journal
      where revision = ${revision} and time >= ${released}::text::timestamptz`,
    ).toHaveLength(1);
  });
});

describe('a write that loses a race', () => {
  /** From now on the first `times` users that anybody makes fail so. */
  async function failFirst(times: number, state: string): Promise<void> {
    await admin.unsafe(`
      create sequence public.tries;
      create function public.fail() returns trigger language plpgsql as $$ begin
        if nextval('public.tries') <= ${times} then
          raise exception 'made to fail' using errcode = '${state}';
        end if;
        return new;
      end $$;
      create trigger fail before insert on rolecall.users for each row execute function public.fail()`);
  }

  /** How a write ends whose first attempts fail so, and after how many. */
  async function endingAfter(times: number, state: string, build = soundBuild) {
    await failFirst(times, state);
    let attempts = 0;
    const writing = open({}, build).write(context({ idempotency: keyOf('k') }), async (handle) => {
      attempts += 1;
      handle.record({ kind: 'grant_set' });
      return make(handle, 'ada');
    });
    const ending = await writing.then(
      ({ value, changed }) => ({ value, changed }),
      ({ code }: RolecallError) => code,
    );
    return { attempts, ending };
  }

  const done = { value: 'ada', changed: true };

  test.each([
    ['cannot be serialized', '40001'],
    ['deadlocks', '40P01'],
    ['loses its connection', '08006'],
    ['is told that the server shuts down', '57P01'],
  ])('and %s is made again until it succeeds, with one effect (F-13)', async (_, state) => {
    const before = await traces();
    expect(await endingAfter(2, state)).toEqual({ attempts: 3, ending: done });
    expect(await traces()).toEqual({
      revision: before.revision + 1,
      entries: before.entries + 2,
      answers: 1,
      users: ['ada'],
    });
  });

  test('again and again is told to come back, and nothing of it is kept (F-12)', async () => {
    await failFirst(1_000, '40001');
    const before = await traces();
    let attempts = 0;
    const losing = transactions.write(context(), (handle) => {
      attempts += 1;
      return make(handle, 'ada');
    });
    await expect(losing).rejects.toMatchObject({ code: 'unavailable', retryAfter: expect.any(Number) });
    expect(attempts).toBe(4);
    expect(await traces()).toEqual(before);
  });

  test('is not made again once its time is up', async () => {
    await failFirst(1_000, '40001');
    let attempts = 0;
    const deadline = deadlineIn(100);
    const losing = transactions.write(context({ deadline }), async (handle) => {
      attempts += 1;
      await handle.sql`select pg_sleep(0.15)`;
      return make(handle, 'ada');
    });
    await expect(losing).rejects.toMatchObject({ code: 'unavailable' });
    await until(idle);
    expect(attempts).toBe(1);
  });

  test.each([
    ['23505', 'internal'],
    ['22P02', 'internal'],
    ['42P01', 'not_ready'],
    ['53300', 'unavailable'],
    ['23514', 'internal'],
  ])('is not made again for what would only fail again: %s (F-13)', async (state, ending) => {
    expect(await endingAfter(1, state)).toEqual({ attempts: 1, ending });
  });

  const mayRetry = '/^(25P02|40001|40P01|08...|57P0[123]|CONNECTION_.*|ECONNRESET|EPIPE)$/';
  test.for([
    ['takes a duplicate for a conflict', mayRetry.replace('40001', '40001|23505'), '23505', done, 2],
    ['asks a server again that has no room', mayRetry.replace('40001', '40001|53300'), '53300', done, 2],
    ['gives up at a conflict', mayRetry.replace('40001|', ''), '40001', 'unavailable', 1],
    ['gives up with its connection', mayRetry.replace('|08...', ''), '08006', 'unavailable', 1],
  ] as const)('is found out in a build that %s (F-13)', async ([, by, state, ending, attempts]) => {
    const breakage: Breakage = { file: 'storage/errors.ts', replace: mayRetry, by };
    await withBrokenBuild(breakage, async (load) =>
      expect(await endingAfter(1, state, await buildOf(load))).toEqual({ attempts, ending }),
    );
  });
});

describe('a write that runs out of time', () => {
  test('while it waits for its turn is undone and said to be unavailable', async () => {
    const before = await traces();
    await admin.begin(async (sql) => {
      await sql`select 1 from rolecall.revision for update`;
      const late = transactions.write(context({ deadline: deadlineIn(150) }), (handle) =>
        make(handle, 'late'),
      );
      await expect(late).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 });
    });
    await until(idle);
    expect(await traces()).toEqual(before);
  });

  test('in the middle of its work is undone and said to be unavailable', async () => {
    const before = await traces();
    const late = transactions.write(context({ deadline: deadlineIn(150) }), async (handle) => {
      await make(handle, 'late');
      await handle.sql`select pg_sleep(0.4)`;
    });
    await expect(late).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 });
    await until(idle);
    expect(await traces()).toEqual(before);
  });

  test('is never kept once the caller was told so, however close the work came to its end', async () => {
    const undone: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      const id = `late-${round}`;
      const deadline = deadlineIn(20 + (round % 20) / 20);
      let told: string | undefined;
      const late = transactions.write(context({ deadline }), async (handle) => {
        await handle.sql`insert into rolecall.users (id) values (${id})`;
        // Goes on at the very moment at which the caller gives up.
        while (told === undefined && performance.now() < deadline + 5)
          await new Promise((resolve) => setImmediate(resolve));
      });
      await late.catch(({ code }: RolecallError) => {
        told = code;
      });
      if (told === 'unavailable') undone.push(id);
    }
    expect(undone.length).toBeGreaterThan(20);
    await until(idle);
    const { users } = await traces();
    expect(users.filter((id) => undone.includes(id))).toEqual([]);
  });
});

describe('a write whose connection is lost', () => {
  // Whatever the driver throws out of everybody's reach would end the service.
  const fatal: unknown[] = [];
  const note = (error: unknown) => void fatal.push(error);
  beforeEach(() => {
    fatal.length = 0;
    for (const event of ['uncaughtException', 'unhandledRejection']) process.on(event, note);
  });
  afterEach(() => {
    for (const event of ['uncaughtException', 'unhandledRejection']) process.off(event, note);
    expect(fatal).toEqual([]);
  });

  test('in a statement is made again, and the connection is replaced (F-02)', async () => {
    const one = open({ poolSize: 1 });
    const before = await traces();
    let attempts = 0;
    const written = await one.write(context(), async (handle) => {
      await make(handle, 'ada');
      attempts += 1;
      if (attempts <= 2) await handle.sql`select pg_terminate_backend(pg_backend_pid()), pg_sleep(60)`;
    });
    expect(written.changed).toBe(true);
    expect(await traces()).toMatchObject({ revision: before.revision + 1, users: ['ada'] });
    for (let n = 0; n < 5; n += 1) await one.write(context(), (handle) => make(handle, `after-${n}`));
  });

  test('between two statements has nothing more done by the attempt that was given up', async () => {
    const one = open({ poolSize: 1 });
    const before = await traces();
    let goOn = () => {};
    const signal = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let dead: Promise<unknown> | undefined;
    const survive = async (handle: WriteHandle) => {
      const [row] = await handle.sql`select pg_backend_pid() as pid`;
      await admin`select pg_terminate_backend(${row?.['pid']})`;
      await signal;
      return make(handle, 'ghost');
    };
    await one.write(context(), async (handle) => {
      if (dead) return make(handle, 'ada');
      dead = survive(handle);
      return dead;
    });
    const refused = one.write(context(), async (handle) => {
      await make(handle, 'bea');
      goOn();
      await Promise.race([dead?.catch(() => {}), sleep(1_000)]);
      throw new RolecallError('role_in_use', 'no');
    });
    await expect(refused).rejects.toMatchObject({ code: 'role_in_use' });
    await expect(dead).rejects.toThrow();
    expect(await traces()).toMatchObject({ revision: before.revision + 1, users: ['ada'] });
  });

  test('at any moment is done wholly or not at all, and asking again with the key does it once (F-01, F-02)', async () => {
    const service = open({ poolSize: 4, statementTimeoutMs: 2_000 });
    const before = await traces();
    const write = (name: string, milliseconds: number) =>
      service
        .write(context({ idempotency: keyOf(name), deadline: deadlineIn(milliseconds) }), async (handle) => {
          await make(handle, `${name}-a`);
          await handle.sql`select pg_sleep(random() * 0.004)`;
          return make(handle, `${name}-b`);
        })
        .then(
          () => 'done',
          ({ code }: RolecallError) => code,
        );

    let killing = true;
    const killer = (async () => {
      for (; killing; await sleep(Math.random() * 20))
        await admin`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'rolecall' order by random() limit 1`;
    })();
    const names = Array.from({ length: 64 }, (_, n) => `n${n}`);
    const outcomes = new Map<string, string>();
    await Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (const name of names.filter((_, n) => n % 8 === worker))
          outcomes.set(name, await write(name, 2_000));
      }),
    );
    killing = false;
    await killer;
    await until(idle);

    const { users } = await traces();
    for (const [name, outcome] of outcomes) {
      const made = [`${name}-a`, `${name}-b`].filter((id) => users.includes(id)).length;
      const possible = { done: [2], unavailable: [0], outcome_unknown: [0, 2] }[outcome];
      expect(possible, `${name}: ${outcome}`).toContain(made);
    }
    for (const name of names) expect(await write(name, 20_000)).toBe('done');
    expect(await traces()).toEqual({
      revision: before.revision + 64,
      entries: before.entries + 128,
      answers: 64,
      users: names.flatMap((name) => [`${name}-a`, `${name}-b`]).sort(),
    });
  });

  /** What writes are told whose connection is lost while they commit, what stands then, and what they are told again. */
  async function cutWhileCommitting(rounds: number, build = soundBuild) {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const service = open({ url: proxy.url, poolSize: 2 }, build);
    const before = await traces();
    const seen: unknown[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const write = (change: (handle: WriteHandle) => Promise<string>) =>
        service.write(context({ idempotency: keyOf(`key-${round}`) }), change).then(
          ({ value, revision }) => [value, numberOf(revision) - before.revision],
          ({ code, retryAfter }: RolecallError) => [code, retryAfter],
        );
      const cut = proxy.cutBefore('C', 'COMMIT');
      const told = await write((handle) => make(handle, `user-${round}`));
      await cut;
      const again = await write(() => Promise.reject(new Error('done again')));
      const { revision, entries, answers } = await traces();
      const made = [revision - before.revision, entries - before.entries, answers - before.answers];
      seen.push({ told, again, made });
    }
    return seen;
  }

  const unknownOutcome = (round: number) => ({
    told: ['outcome_unknown', 1],
    again: [`user-${round}`, round],
    made: [round, round, round],
  });

  test('while it commits has an unknown outcome, and asking again with the key gives the first answer (F-14)', {
    timeout: 600_000,
  }, async () => {
    const rounds = long ? 1_000 : 20;
    const seen = await cutWhileCommitting(rounds);
    summarize('F-14', { cut: rounds, 'done twice or not at all': 0 });
    expect(seen).toEqual(Array.from({ length: rounds }, (_, index) => unknownOutcome(index + 1)));
  });

  /** What writes are told that share a transaction whose connection is lost while it commits. */
  async function cutTogether(build = soundBuild): Promise<readonly string[]> {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const service = open({ url: proxy.url, poolSize: 2 }, build);
    const join = build.openWriteSeries(
      service,
      (asked) => Promise.all(asked.map(({ ask, handle }) => make(handle, ask))),
      (id: string) => id,
    );
    const cut = proxy.cutBefore('C', 'COMMIT');
    const writing = ['one', 'two', 'three'].map((id) =>
      join(context(), id).then(
        () => 'done',
        ({ code }: RolecallError) => code,
      ),
    );
    await cut;
    return Promise.all(writing);
  }

  test('while it commits has an unknown outcome for all that share it, and none of them is made again', async () => {
    const before = await traces();
    expect(await cutTogether()).toEqual(Array(3).fill('outcome_unknown'));
    const after = await traces();
    expect([after.revision - before.revision, after.entries - before.entries]).toEqual([3, 3]);
  });

  test('while all that share it commit is found out in a build that makes them again', async () => {
    const breakage = {
      file: 'storage/write-series.ts',
      replace: "members.length === 1 || code === 'outcome_unknown'",
      by: 'members.length === 1',
    };
    await withBrokenBuild(breakage, async (load) =>
      expect(await cutTogether(await buildOf(load))).not.toContain('outcome_unknown'),
    );
  });

  const transaction = 'storage/transaction.ts';
  test.for([
    [
      'makes it again',
      { replace: 'const mayBeCommitted = isCommitting() &&', by: 'const mayBeCommitted = false &&' },
      { told: ['user-1', 1] },
    ],
    [
      'says that nothing was done',
      { replace: 'if (mayBeCommitted)', by: 'if (mayBeCommitted) throw failure; if (failure !== failure)' },
      { told: ['unavailable', 1] },
    ],
    [
      'does not keep the answer',
      { replace: 'if (idempotency) lane.sendAlong(keepAnswer', by: 'if (!sql) lane.sendAlong(keepAnswer' },
      { again: ['internal', undefined], made: [1, 1, 0] },
    ],
  ] as const)('while it commits is found out in a build that %s (F-14)', async ([, how, seen]) => {
    await withBrokenBuild({ file: transaction, ...how }, async (load) =>
      expect(await cutWhileCommitting(1, await buildOf(load))).toEqual([{ ...unknownOutcome(1), ...seen }]),
    );
  });

  test('before it commits is made again without the caller knowing', async () => {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const service = open({ url: proxy.url, poolSize: 2 });
    const before = await traces();
    for (let round = 1; round <= 5; round += 1) {
      const cut = proxy.cutBefore('C', 'INSERT 0 1');
      await service.write(context(), (handle) => make(handle, `user-${round}`));
      await cut;
      expect((await traces()).revision).toBe(before.revision + round);
    }
  });

  test('half-open keeps the lock no longer than the server lets a transaction idle (F-11)', async () => {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const cutOff = open({ url: proxy.url, poolSize: 2, statementTimeoutMs: 300, connectTimeoutMs: 500 });
    const lost = cutOff.write(context({ deadline: deadlineIn(500) }), async (handle) => {
      await make(handle, 'lost');
      proxy.blackhole();
      await make(handle, 'never');
    });
    await expect(lost).rejects.toMatchObject({ code: 'unavailable' });
    await transactions.write(context(), (handle) => make(handle, 'ada'));
    proxy.heal();
    await until(async () => {
      const healed = cutOff.write(context({ deadline: deadlineIn(500), idempotency: keyOf('k') }), (handle) =>
        make(handle, 'bea'),
      );
      return healed.then(
        (written) => [written],
        () => [],
      );
    });
    expect((await traces()).users).toEqual(['ada', 'bea']);
  });

  test('half-open while the server prepares a statement keeps the lock no longer than others wait for it (F-11)', async () => {
    const proxy = await startChaosProxy(database.url);
    undo.push(() => proxy.close());
    const cutOff = open({ url: proxy.url, poolSize: 2, statementTimeoutMs: 300, connectTimeoutMs: 500 });
    const lost = cutOff.write(context({ deadline: deadlineIn(700) }), async (handle) => {
      await make(handle, 'lost');
      // The server has told the parameters' types, and waits for their values.
      const silent = proxy.blackholeBefore('t', '');
      const never = handle.sql`select ${'nothing like this was asked'}::text`.then(() => {});
      await silent;
      await never;
    });
    await expect(lost).rejects.toMatchObject({ code: 'unavailable' });
    const begun = performance.now();
    await until(() =>
      transactions
        .write(context({ deadline: deadlineIn(1_000) }), (handle) => make(handle, 'ada'))
        .then(
          () => [true],
          () => [],
        ),
    );
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect((await traces()).users).toEqual(['ada']);
  });
});
