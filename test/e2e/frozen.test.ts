import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, start } from '../support/program.ts';
import { makeRoot, type Replica, startReplica } from '../support/replicas.ts';
import { buildVault, grant, permission, revoke } from '../support/vault.ts';

let database: TestDatabase;
let writer: Replica;
let key: string;
let running: Program[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
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

async function serve(variables: Readonly<Record<string, string>> = {}) {
  const program = start(['serve'], environmentFor(database.url, { LOG_LEVEL: 'info', ...variables }));
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

describe('a process that was frozen', () => {
  test.for(long ? [0.1, 1, 5, 30, 120] : [0.1, 1.5])(
    'for %d s answers nothing from before a change that was made meanwhile (C-07)',
    { timeout: 600_000 },
    async (seconds) => {
      const leaseMs = 50;
      const { url, program } = await serve({ ROLECALL_LEASE_MS: String(leaseMs) });
      let stale = 0;
      let answers = 0;
      for (let cycle = 0; cycle < (long && seconds < 5 ? 50 : 2); cycle += 1) {
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
          if (answer === true) stale += 1;
          else answers += 1;
          expect([false, true, 503]).toContain(answer);
        }
      }
      summarize(`C-07, frozen for ${seconds} s`, { answers, stale });
      expect(stale).toBe(0);
    },
  );
});

describe('a process that is told to stop', () => {
  test('finishes what it has begun, fails nobody, and exits with 0 (F-23)', {
    timeout: 600_000,
  }, async () => {
    await grant(writer, 'ann');
    let failed = 0;
    let answered = 0;
    let longest = 0;
    for (let cycle = 0; cycle < (long ? 200 : 3); cycle += 1) {
      const { url, program } = await serve();
      let stopping = false;
      let last = 0;
      const client = async () => {
        for (;;) {
          const answer = await askOver(url, 'latest');
          // No connection is taken any more: the client goes elsewhere, and nothing was lost.
          if (answer === undefined && stopping) return;
          if (answer === true) answered += 1;
          else failed += 1;
          last = performance.now();
        }
      };
      const clients = Array.from({ length: 8 }, client);
      await pause(100 + Math.random() * 100);
      stopping = true;
      const told = performance.now();
      program.child.kill('SIGTERM');
      const { code } = await program.ended();
      longest = Math.max(longest, performance.now() - told);
      await Promise.all(clients);
      expect(code).toBe(0);
      expect(last).toBeGreaterThan(0);
    }
    summarize('F-23', { answered, failed, 'longest exit ms': Math.round(longest) });
    expect(failed).toBe(0);
    expect(answered).toBeGreaterThan(0);
  });
});
