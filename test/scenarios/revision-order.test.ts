import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { long, summarize, untilFound } from '../support/long-run.ts';
import { buildOf, type Replica, type ReplicaOptions, startReplicas } from '../support/replicas.ts';
import { ask, buildVault, grant, outcome, outcomeOf, revoke } from '../support/vault.ts';

/** Numbers are drawn before whoever drew the one before has committed. */
const sequence: readonly Breakage[] = [
  {
    file: 'storage/journal.ts',
    replace:
      'with locked as materialized (select value, epoch, journal_head, time from rolecall.revision for update)',
    by: `with locked as materialized (select nextval('drawn_revisions') - 1 as value, epoch, journal_head, time
      from rolecall.revision)`,
  },
  {
    file: 'storage/journal.ts',
    replace: `value = \${revision}, time`,
    by: `value = greatest(value, \${revision}::bigint), time`,
  },
];

async function withSequence(sql: postgres.Sql): Promise<void> {
  await sql`create sequence drawn_revisions`;
  await sql`select setval('drawn_revisions', (select value from rolecall.revision))`;
}

/** Writers wait between drawing their revision and committing it, if what they write is so. */
async function holdWrites(sql: postgres.Sql, when: string, wait: string): Promise<void> {
  await sql.unsafe(`
    create function hold_write() returns trigger language plpgsql as
      $$begin if ${when} then perform ${wait}; end if; return null; end$$;
    create constraint trigger hold_write after insert or delete on rolecall.user_roles
      deferrable initially immediate for each row execute function hold_write();`);
}

const theLock = 4_711;

/** Ann's role is taken; before that is committed Bob is given it; everybody is asked; then it is committed. */
async function overtaking(options: ReplicaOptions, prepare: (sql: postgres.Sql) => Promise<void>) {
  const { replicas, sql, close, database } = await startReplicas(3, { ...options, listens: true });
  const [first, second] = replicas as readonly [Replica, Replica, Replica];
  await prepare(sql);
  await buildVault(first, ['ann', 'bob']);
  await grant(first, 'ann');
  await holdWrites(sql, "tg_op = 'DELETE'", `pg_advisory_xact_lock(${theLock})`);
  const holder = postgres(database.url, { max: 1, onnotice: () => {} });
  await holder`select pg_advisory_lock(${theLock})`;
  const askAll = (user: string) => Promise.all(replicas.map((replica) => outcome(replica, { user })));
  try {
    const taking = revoke(first, 'ann');
    while ((await sql`select 1 from pg_locks where locktype = 'advisory' and not granted`).length === 0)
      await pause(5);
    const giving = grant(second, 'bob');
    await Promise.race([giving, pause(300)]);
    const meanwhile = { ann: await askAll('ann'), bob: await askAll('bob') };
    await holder`select pg_advisory_unlock(${theLock})`;
    await Promise.all([taking, giving]);
    return { meanwhile, after: { ann: await askAll('ann'), bob: await askAll('bob') } };
  } finally {
    await holder.end();
    await close();
  }
}

/**
 * Many give and take at once, some of them held before they commit. Meanwhile somebody counts, at each revision that is
 * the newest, what has come up to it: nothing may come to it later.
 */
async function shadowed(
  commits: number,
  options: ReplicaOptions,
  prepare: (sql: postgres.Sql) => Promise<void> = async () => {},
) {
  const { replicas, sql, close, database } = await startReplicas(3, options);
  const lanes = Array.from({ length: 64 }, (_, number) => `user-${number}`);
  await prepare(sql);
  await buildVault(replicas[0] as Replica, lanes);
  await holdWrites(sql, 'random() < 0.02', 'pg_sleep(random() * 0.05)');
  const shadow = postgres(database.url, { max: 1, onnotice: () => {} });
  const seen = new Map<number, number>();
  let writing = true;
  let made = 0;
  let stale = 0;
  const count = (head: number) =>
    shadow<{ rows: number }[]>`
      select count(*)::int as rows from rolecall.journal where revision > ${head - 500} and revision <= ${head}`;
  const watching = (async () => {
    while (writing) {
      const [head] = await shadow<{ value: number }[]>`select value::int as value from rolecall.revision`;
      const [counted] = await count(head?.value ?? 0);
      if (head && counted && !seen.has(head.value)) seen.set(head.value, counted.rows);
    }
  })();
  const lane = async (user: string, number: number) => {
    for (let round = 0; made < commits; round += 1) {
      await (round % 2 === 0 ? grant : revoke)(replicas[number % 3] as Replica, user);
      made += 1;
      const answer = await ask(replicas[(number + round) % 3] as Replica, { user });
      if (outcomeOf(answer) !== (round % 2 === 0 ? 'allowed' : 'denied')) stale += 1;
    }
  };
  const done = await Promise.allSettled(lanes.map(lane));
  writing = false;
  await watching;
  let late = 0;
  for (const [head, rows] of seen) if ((await count(head))[0]?.rows !== rows) late += 1;
  await shadow.end();
  await close();
  const failures = done.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []));
  return { commits: made, revisions: seen.size, late, stale, failures };
}

describe('a revision', () => {
  test('that is held before it commits is overtaken by none (C-03)', async () => {
    const { meanwhile, after } = await overtaking({}, async () => {});
    expect(meanwhile).toEqual({ ann: Array(3).fill('allowed'), bob: Array(3).fill('denied') });
    expect(after).toEqual({ ann: Array(3).fill('denied'), bob: Array(3).fill('allowed') });
  });

  test('is overtaken, and its change missed for good, in a build in which revisions are a sequence', async () => {
    const { meanwhile, after } = await withBrokenBuild(sequence, async (load) =>
      overtaking({ build: await buildOf(load) }, withSequence),
    );
    expect(meanwhile.bob).toContain('allowed');
    expect(after.ann).toContain('allowed');
  });

  test('that was the newest has all its changes, whoever writes at once (C-03)', {
    timeout: 3_600_000,
  }, async () => {
    const seen = await shadowed(long ? 100_000 : 400, {});
    summarize('C-03', { ...seen, failures: seen.failures.length });

    expect(seen).toMatchObject({ late: 0, stale: 0, failures: [] });
    expect(seen.revisions).toBeGreaterThan(5);
  });

  test('gets more later in a build in which revisions are a sequence', { timeout: 300_000 }, async () => {
    const isFound = await withBrokenBuild(sequence, async (load) => {
      const build = await buildOf(load);
      return untilFound(async (times) => (await shadowed(400 * times, { build }, withSequence)).late > 0);
    });
    expect(isFound).toBe(true);
  });
});
