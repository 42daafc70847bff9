import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { afterEach, describe, expect, test } from 'vitest';
import { operatorCall } from '../../src/services/call.ts';
import { withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness } from '../support/broken-freshness.ts';
import { startChaosProxy } from '../support/chaos-proxy.ts';
import { createTestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import {
  type Build,
  buildOf,
  makeRoot,
  type Replica,
  soundBuild,
  startReplica,
} from '../support/replicas.ts';
import { installedPrograms, startPair } from '../support/servers.ts';
import { ask, buildVault, grant, outcome, outcomeOf, revoke } from '../support/vault.ts';

const programs = await installedPrograms();
const execute = promisify(execFile);

let undo: (() => Promise<unknown>)[] = [];
afterEach(tidy);

async function tidy(): Promise<void> {
  for (const step of undo.reverse()) await step();
  undo = [];
}

const longLease = { ROLECALL_LEASE_MS: '60000' };

async function open(url: string, key: string, options: Parameters<typeof startReplica>[2] = {}) {
  const replica = await startReplica(url, key, { variables: longLease, requestTimeoutMs: 5_000, ...options });
  undo.push(() => replica.close());
  return replica;
}

async function epochsOf(url: string): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const rows = await sql`select 1 from rolecall.epochs`;
  await sql.end();
  return rows.length;
}

/** Waits, within the time of the test, until the service knows again. */
async function untilItAnswers(replica: Replica) {
  for (;;) {
    const answer = await ask(replica, { user: 'ann' });
    if (answer.status < 500) return answer;
  }
}

async function copyOf(url: string): Promise<string> {
  const name = `copy_${Math.random().toString(36).slice(2)}`;
  const source = new URL(url);
  const server = new URL(url);
  server.pathname = '/postgres';
  const sql = postgres(server.href, { max: 1, onnotice: () => {} });
  await sql`create database ${sql(name)} template ${sql(source.pathname.slice(1))}`;
  await sql.end();
  undo.push(async () => {
    const last = postgres(server.href, { max: 1, onnotice: () => {} });
    await last`drop database if exists ${last(name)} with (force)`;
    await last.end();
  });
  source.pathname = `/${name}`;
  return source.href;
}

describe('a copy of the database', () => {
  test('begins one epoch, however many replicas find it at once (C-19)', async () => {
    const database = await createTestDatabase();
    undo.push(() => database.drop());
    const key = await makeRoot(database.url);
    const copy = await copyOf(database.url);
    const replicas = await Promise.all(Array.from({ length: 6 }, () => open(copy, key)));
    const answers = await Promise.all(replicas.map((replica) => ask(replica, {})));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(await epochsOf(copy)).toBe(2);
  });

  test('begins one epoch, however many write to it first', async () => {
    const database = await createTestDatabase();
    undo.push(() => database.drop());
    const key = await makeRoot(database.url);
    const copy = await copyOf(database.url);
    const replicas = await Promise.all(Array.from({ length: 3 }, () => open(copy, key)));
    const made = replicas.map((replica, index) =>
      replica.runtime.users.create(operatorCall(20_000), { id: `user-${index}` } as never),
    );
    await Promise.all(made);
    expect(await epochsOf(copy)).toBe(2);
  });
});

/** Ann is given the role and loses it, all acknowledged; then the database is brought back to when she had it. */
interface Lost {
  readonly replica: Replica;
  /** Of the grant, which is kept, and of the revocation, which is lost. */
  readonly kept: string;
  readonly lost: string;
  readonly log: readonly string[];
}

async function checkAfter({ replica, kept, lost, log }: Lost): Promise<void> {
  // What was acknowledged is gone, and the answer is what the database says now, not what memory remembers.
  expect(outcomeOf(await untilItAnswers(replica))).toBe('allowed');
  expect(await outcome(replica, { user: 'ann', freshness: 'lease' })).toBe('allowed');
  expect(await outcome(replica, { user: 'ann', atLeast: kept })).toBe('allowed');
  const refused = await ask(replica, { user: 'ann', atLeast: lost });
  expect(refused).toMatchObject({ status: 409, body: { code: 'lost_history' } });
  expect(log.filter((line) => line.includes('epoch_began')).length).toBeGreaterThan(0);
  const again = await revoke(replica, 'ann');
  expect(again.split('-')[0]).not.toBe(lost.split('-')[0]);
  expect(await outcome(replica, { user: 'ann', atLeast: again, freshness: 'lease' })).toBe('denied');
}

describe.skipIf(!programs && !long)('with the programs of an installed PostgreSQL', () => {
  const bin = programs ?? '';

  /** A failover to a standby that lacks the last acknowledged change. */
  async function failover(build: Build): Promise<Lost> {
    const pair = await startPair(bin);
    undo.push(() => pair.remove());
    const proxy = await startChaosProxy(pair.primary);
    undo.push(() => proxy.close());
    const key = await makeRoot(pair.primary);
    const log: string[] = [];
    const replica = await open(proxy.url, key, { build, listens: true, onLog: (line) => log.push(line) });
    await buildVault(replica, ['ann']);
    const kept = await grant(replica, 'ann');
    await untilShipped(pair.standby, kept);
    await pair.stopShipping();
    const lost = await revoke(replica, 'ann');
    expect(await outcome(replica, { user: 'ann' })).toBe('denied');
    await pair.killPrimary();
    await pair.promote();
    proxy.leadTo(pair.standby);
    proxy.reset();
    return { replica, kept, lost, log };
  }

  async function again(what: string, once: () => Promise<void>): Promise<void> {
    const times = long ? 20 : 1;
    for (let time = 0; time < times; time += 1) {
      await once();
      await tidy();
    }
    summarize(what, { times, 'answers from before': 0, 'lost tokens that were taken': 0 });
  }

  test('a failover that loses an acknowledged change begins an epoch: no answer from before it, lost tokens refused (C-19)', {
    timeout: 1_200_000,
  }, async () => {
    await again('C-19', async () => checkAfter(await failover(soundBuild)));
  });

  test('it goes unnoticed in a build in which another epoch is taken for the same', {
    timeout: 120_000,
  }, async () => {
    await withBrokenBuild(brokenFreshness['another epoch is taken for the same'], async (load) => {
      const { replica } = await failover(await buildOf(load));
      expect(outcomeOf(await untilItAnswers(replica))).toBe('denied');
    });
  });

  test('a standby is asked for nothing: what is newest is only known on the primary (C-09)', {
    timeout: 120_000,
  }, async () => {
    const pair = await startPair(bin);
    undo.push(() => pair.remove());
    const key = await makeRoot(pair.primary);
    await untilShipped(pair.standby, undefined);
    const replica = await open(pair.standby, key);
    const answer = await ask(replica, {});
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect((answer.body as { detail: string }).detail).toMatch(/standby/);
    const standby = {
      file: 'storage/read-models/head.ts',
      replace: 'if (isStandby)',
      by: 'if (isStandby && !row)',
    };
    await withBrokenBuild(standby, async (load) => {
      const other = await open(pair.standby, key, { build: await buildOf(load) });
      expect((await ask(other, {})).body).not.toMatchObject({ detail: expect.stringMatching(/standby/) });
    });
  });

  /** An older dump is restored under a replica that runs. */
  async function restore(build: Build): Promise<Lost> {
    const pair = await startPair(bin);
    undo.push(() => pair.remove());
    const key = await makeRoot(pair.primary);
    const log: string[] = [];
    const replica = await open(pair.primary, key, { build, listens: true, onLog: (line) => log.push(line) });
    await buildVault(replica, ['ann']);
    const kept = await grant(replica, 'ann');
    const { stdout: dump } = await execute(join(bin, 'pg_dump'), ['-d', pair.primary, '-n', 'rolecall'], {
      maxBuffer: 2 ** 26,
    });
    const lost = await revoke(replica, 'ann');
    expect(await outcome(replica, { user: 'ann' })).toBe('denied');
    const restoring = execute(
      join(bin, 'psql'),
      [
        '-d',
        pair.primary,
        '-q',
        '-1',
        '-v',
        'ON_ERROR_STOP=1',
        '-c',
        'drop schema rolecall cascade',
        '-f',
        '-',
      ],
      { maxBuffer: 2 ** 26 },
    );
    restoring.child.stdin?.end(dump);
    await restoring;
    return { replica, kept, lost, log };
  }

  test('a restore of an older dump under a running replica begins an epoch (C-20)', {
    timeout: 1_200_000,
  }, async () => {
    await again('C-20', async () => checkAfter(await restore(soundBuild)));
  });

  test('the restore goes unnoticed in a build in which another epoch is taken for the same (C-20)', {
    timeout: 120_000,
  }, async () => {
    await withBrokenBuild(brokenFreshness['another epoch is taken for the same'], async (load) => {
      const { replica } = await restore(await buildOf(load));
      expect(outcomeOf(await untilItAnswers(replica))).toBe('denied');
    });
  });
});

/** Waits, within the time of the test, until the standby has a revision, or the newest of the primary's history. */
async function untilShipped(standby: string, revision: string | undefined): Promise<void> {
  const sql = postgres(standby, { max: 1, onnotice: () => {} });
  const wanted = Number(revision?.split('-')[1] ?? 0);
  for (;;) {
    const [row] = await sql<{ value: number }[]>`
      select value::int as value from rolecall.revision
      where ${revision !== undefined} or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()`;
    if (row && row.value >= wanted) break;
  }
  await sql.end();
}

describe('a revision that nobody gave (C-17)', () => {
  /** How many were tried, and those that were not answered as they should be: with which status, and which was due. */
  async function misjudged(build: Build) {
    const database = await createTestDatabase();
    undo.push(() => database.drop());
    const key = await makeRoot(database.url);
    const replica = await open(database.url, key, { build });
    const { body } = await ask(replica, {});
    const { revision } = body as { revision: string };
    const [epoch, value] = revision.split('-') as [string, string];
    const due = (text: string) => {
      if (text === revision) return 200;
      if (!/^[0-9a-f]{12}-(0|[1-9]\d{0,15})$/.test(text) || !Number.isSafeInteger(Number(text.slice(13))))
        return 400;
      if (!text.startsWith(epoch)) return 400;
      return Number(text.slice(13)) <= Number(value) ? 200 : 409;
    };
    const flipped = [...revision].flatMap((_, index) =>
      ['0', 'f', '-', 'é', '\u0000', ' '].map(
        (letter) => revision.slice(0, index) + letter + revision.slice(index + 1),
      ),
    );
    const cut = [...revision].flatMap((_, index) => [revision.slice(0, index), revision.slice(index)]);
    const numbers = [
      '-1',
      '1e3',
      '9007199254740991',
      '9007199254740992',
      '9223372036854775808',
      '٣',
      '00',
      '0',
    ];
    const tried = [
      ...flipped,
      ...cut,
      ...numbers.map((number) => `${epoch}-${number}`),
      revision,
      `${revision} `,
    ];
    const wrong: (readonly [atLeast: string, status: number, due: number])[] = [];
    for (const freshness of ['latest', 'lease'] as const)
      for (const atLeast of tried) {
        const { status } = await ask(replica, { atLeast, freshness });
        if (status !== due(atLeast)) wrong.push([atLeast, status, due(atLeast)]);
      }
    return { tried: tried.length, wrong };
  }

  test('is refused as malformed, foreign or lost, never with a failure and never with an answer', async () => {
    const { tried, wrong } = await misjudged(soundBuild);
    expect(tried).toBeGreaterThan(100);
    expect(wrong).toEqual([]);
  });

  test.for([
    [
      'of another database for one of ours',
      "if (index === -1) return 'foreign';",
      "if (index === -1) return 'reached';",
      400,
    ],
    ['that is not there for one that is', "asked.value <= last ? 'reached' : 'lost'", "'reached'", 409],
    ['written in another way for the same', '(0|[1-9][0-9]{0,15})$/', '([0-9]{1,16})$/', 400],
  ] as const)('is found out in a build that takes one %s (C-17)', async ([, replace, by, due]) => {
    await withBrokenBuild({ file: 'domain/revisions.ts', replace, by }, async (load) => {
      const { wrong } = await misjudged(await buildOf(load));
      expect(wrong).toContainEqual([expect.any(String), 200, due]);
    });
  });
});
