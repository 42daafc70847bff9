import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { long } from '../support/long-run.ts';
import { type Build, buildOf, makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { installedPrograms, type Pair, startPair } from '../support/servers.ts';
import { ask, buildVault, grant, outcome, revoke } from '../support/vault.ts';

const programs = await installedPrograms();

/** A standby that replays late, or not at all, while the primary goes on (C-09). */
describe.skipIf(!programs)('rows read from a standby', () => {
  let pair: Pair;
  let key: string;
  let standby: postgres.Sql;
  beforeAll(async () => {
    pair = await startPair(programs as string);
    key = await makeRoot(pair.primary);
    standby = postgres(pair.standby, { max: 1, onnotice: () => {} });
    const replica = await open();
    await buildVault(replica, ['ann']);
    await replica.close();
  });
  afterAll(async () => {
    await standby.end();
    await pair.remove();
  });

  const open = (build?: Build): Promise<Replica> =>
    startReplica(pair.primary, key, {
      variables: { ROLECALL_READ_DATABASE_URL: pair.standby },
      ...(build ? { build } : {}),
    });

  async function caughtUp(): Promise<void> {
    const primary = postgres(pair.primary, { max: 1, onnotice: () => {} });
    const [head] = await primary`select value from rolecall.revision`;
    await primary.end();
    for (;;) {
      const [reached] = await standby`select value from rolecall.revision`;
      if (reached?.['value'] === head?.['value']) return;
    }
  }

  /** How often an answer is not what was written before it was asked for, with the standby paused every other time. */
  async function wrongAnswers(rounds: number, build?: Build): Promise<number> {
    const replica = await open(build);
    let wrong = 0;
    try {
      for (let round = 0; round < rounds; round += 1) {
        const isGiven = round % 2 === 0;
        const isPaused = round % 4 >= 2;
        await (isPaused ? standby`select pg_wal_replay_pause()` : standby`select pg_wal_replay_resume()`);
        const revision = await (isGiven ? grant : revoke)(replica, 'ann');
        const due = isGiven ? 'allowed' : 'denied';
        for (const atLeast of [undefined, revision])
          if ((await outcome(replica, { user: 'ann', ...(atLeast ? { atLeast } : {}) })) !== due) wrong += 1;
      }
    } finally {
      await standby`select pg_wal_replay_resume()`;
      await replica.close();
    }
    return wrong;
  }

  async function readsFrom(replica: Replica, server: string): Promise<number> {
    const text = await replica.runtime.metrics.text();
    const line = new RegExp(`^rolecall_row_reads_total\\{from="${server}"\\} (\\d+)$`, 'm').exec(text);
    return Number(line?.[1]);
  }

  test('are never older than the answer must be', { timeout: 3_600_000 }, async () => {
    expect(await wrongAnswers(long ? 4_000 : 60)).toBe(0);
  });

  test('take load from the primary while the standby keeps up', async () => {
    await caughtUp();
    const replica = await open();
    try {
      await ask(replica, { user: 'root' });
      const before = await readsFrom(replica, 'standby');
      for (const user of ['nobody', 'ann', 'somebody']) await ask(replica, { user });
      expect(await readsFrom(replica, 'standby')).toBeGreaterThanOrEqual(before + 3);
    } finally {
      await replica.close();
    }
  });

  test('come from the primary when the standby cannot be reached', async () => {
    const nowhere = new URL(pair.standby);
    nowhere.port = '1';
    const replica = await startReplica(pair.primary, key, {
      variables: { ROLECALL_READ_DATABASE_URL: nowhere.href },
    });
    try {
      await grant(replica, 'ann');
      expect(await outcome(replica, { user: 'ann' })).toBe('allowed');
      await revoke(replica, 'ann');
    } finally {
      await replica.close();
    }
  });

  test('are too old in a build that does not look how recent the standby is', async () => {
    const breakage: Breakage = {
      file: 'services/decisions/row-source.ts',
      replace: 'return isRecent ? rows : undefined;',
      by: 'return rows;',
    };
    const found = await withBrokenBuild(breakage, async (load) =>
      wrongAnswers(40, await buildOf(load)).catch(() => 1),
    );
    expect(found).toBeGreaterThan(0);
  });
});
