import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brokenFreshness } from '../support/broken-freshness.ts';
import type { TestDatabase } from '../support/database.ts';
import { long, summarize, untilFound } from '../support/long-run.ts';
import { environmentFor, type Program, start } from '../support/program.ts';
import { openPrograms } from '../support/programs.ts';
import { makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';
import { buildVault, grant, permission, revoke } from '../support/vault.ts';

let database: TestDatabase;
let writer: Replica;
let key: string;
let running: Program[] = [];

beforeEach(async () => {
  database = await createWatchedDatabase();
  key = await makeRoot(database.url);
  writer = await startReplica(database.url, key);
  await buildVault(writer, ['ann']);
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  running = [];
  await writer.close();
  await database.drop();
});

async function serve(variables: Readonly<Record<string, string>>, release?: string) {
  const program = start(
    ['serve'],
    environmentFor(database.url, { LOG_LEVEL: 'info', ...variables }),
    release === undefined ? {} : { cwd: release },
  );
  running.push(program);
  const [, url] = await program.prints(/"msg":"listening on ([^"]+)"/);
  return { url: url as string, program };
}

/** The decision on Ann, or the status of a failure; undefined if no answer came. */
async function askOver(url: string, freshness: 'latest' | 'lease'): Promise<boolean | number | undefined> {
  const response = await fetch(`${url}/authorize`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'ann', permission, freshness }),
  }).catch(() => undefined);
  if (!response) return undefined;
  const body = (await response.json()) as { allowed: boolean };
  return response.status === 200 ? body.allowed : response.status;
}

const leaseMs = 50;

/** Freezes a process again and again; meanwhile Ann loses the role, and many ask about her. */
async function freeze(seconds: number, cycles: number, release?: string) {
  const { url, program } = await serve({ ROLECALL_LEASE_MS: String(leaseMs) }, release);
  const seen = { answers: 0, stale: 0, unanswered: 0 };
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    await grant(writer, 'ann');
    expect(await askOver(url, 'latest')).toBe(true);
    expect(await askOver(url, 'lease')).toBe(true);
    program.child.kill('SIGSTOP');
    await revoke(writer, 'ann');
    // Nobody may be answered from before the change by a lease that had begun before it.
    await pause(leaseMs);
    const queued = Array.from({ length: 200 }, (_, index) =>
      askOver(url, index % 2 === 0 ? 'latest' : 'lease'),
    );
    await pause(Math.max(0, seconds * 1_000 - leaseMs));
    program.child.kill('SIGCONT');
    for (const answer of await Promise.all(queued)) {
      expect([false, true, 503, undefined]).toContain(answer);
      // A connection that was idle for longer than it may be is closed with what was sent on it meanwhile.
      if (answer === undefined) seen.unanswered += 1;
      else if (answer === true) seen.stale += 1;
      else seen.answers += 1;
    }
  }
  return seen;
}

describe('a process that was frozen', () => {
  test.for(long ? [0.1, 1, 5, 30, 120] : [0.1, 1.5])(
    'for %d s answers nothing from before a change that was made meanwhile (C-07)',
    { timeout: 600_000 },
    async (seconds) => {
      const seen = await freeze(seconds, long && seconds < 5 ? 50 : 2);
      summarize(`C-07, frozen for ${seconds} s`, seen);
      expect(seen.stale).toBe(0);
      expect(seen.answers).toBeGreaterThan(0);
    },
  );

  test('answers from before it in a build in which a lease has no end', { timeout: 600_000 }, async () => {
    const programs = await openPrograms();
    const release = await programs.broken(brokenFreshness['a lease has no end']);
    const isFound = await untilFound(async (times) => (await freeze(0.1, 2 * times, release)).stale > 0);
    await programs.remove();
    expect(isFound).toBe(true);
  });
});
