import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { at, holdNext, type Place, places } from '../support/barriers.ts';
import type { Breakage } from '../support/broken-build.ts';
import { urlOf } from '../support/event-stream.ts';
import { withHeldReplica } from '../support/held-replica.ts';
import { long, summarize } from '../support/long-run.ts';
import type { Replica } from '../support/replicas.ts';
import { ask, done, grant, outcome, outcomeOf, permission, type Question, revoke } from '../support/vault.ts';

/** What the driver says of a connection that the server ended. */
const cut = () => Promise.reject(Object.assign(new Error('terminating connection'), { code: '57P01' }));
const hang = () => new Promise(() => {});

/**
 * Reads that fail, at every place in turn, by an error and by never coming back, just after a change; and how it is when
 * all is well again.
 */
async function failures(breakage: Breakage | readonly Breakage[], rounds: number) {
  const tally = { questions: 0, unavailable: 0, wrong: 0, wrongLater: 0 };
  await withHeldReplica(
    breakage,
    async (writer, asked) => {
      const known = await sizeOf(asked);
      for (let round = 0; round < rounds; round += 1)
        for (const place of places)
          for (const fault of [cut, hang]) {
            const gives = tally.questions % 2 === 0;
            await (gives ? grant : revoke)(writer, 'ann');
            await done(writer, 'PATCH', '/users/root', { email: `root-${tally.questions}@example.org` });
            at(place, fault);
            const due = gives ? 'allowed' : 'denied';
            for (const answer of await Promise.all([1, 2, 3].map(() => outcome(asked, { user: 'ann' })))) {
              tally.questions += 1;
              if (answer === 503) tally.unavailable += 1;
              else if (answer !== due) tally.wrong += 1;
            }
            at(place, undefined);
            if (outcomeOf(await untilItAnswers(asked)) !== due) tally.wrongLater += 1;
            await ask(asked, { user: `nobody-${tally.questions}` });
          }
      // Nobody is kept but Ann and who asks.
      expect(await sizeOf(asked)).toBeLessThanOrEqual(known + 2);
    },
    { requestTimeoutMs: 400 },
  );
  return tally;
}

async function sizeOf(replica: Replica): Promise<number> {
  const text = await replica.runtime.metrics.text();
  return Number(/^rolecall_cached_users (\d+)$/m.exec(text)?.[1]);
}

/** Waits, within the time of the test, until the service knows again. */
async function untilItAnswers(asked: Replica) {
  for (;;) {
    const answer = await ask(asked, { user: 'ann' });
    if (answer.status < 500) return answer;
    await pause(50);
  }
}

describe('a read that failed', () => {
  test('is no decision for anybody, and is not remembered (C-11)', { timeout: 3_600_000 }, async () => {
    const tally = await failures([], long ? 40 : 1);
    summarize('C-11', tally);
    expect(tally).toMatchObject({ wrong: 0, wrongLater: 0 });
    expect(tally.unavailable).toBeGreaterThan(0);
  });

  test('for a client that hung up meanwhile leaves nothing that is wrong (C-11)', {
    timeout: 600_000,
  }, async () => {
    const rounds = long ? 200 : 1;
    let wrong = 0;
    await withHeldReplica([], async (writer, asked) => {
      const url = await urlOf(asked.app);
      const headers = { authorization: `Bearer ${asked.key}`, 'content-type': 'application/json' };
      for (let round = 0; round < rounds * places.length; round += 1) {
        const gives = round % 2 === 0;
        await (gives ? grant : revoke)(writer, 'ann');
        const held = holdNext(places[round % places.length] as Place);
        const hangUp = new AbortController();
        const body = JSON.stringify({ user: 'ann', permission });
        const { signal } = hangUp;
        const asking = fetch(`${url}/authorize`, { method: 'POST', headers, body, signal }).catch(() => {});
        await held.reached;
        hangUp.abort();
        await asking;
        await pause(10);
        held.release();
        if ((await outcome(asked, { user: 'ann' })) !== (gives ? 'allowed' : 'denied')) wrong += 1;
      }
    });
    summarize('C-11, clients that hung up', { questions: rounds * places.length, wrong });
    expect(wrong).toBe(0);
  });

  test('keeps those who wait for it no longer than each may wait, and nobody else (C-13)', async () => {
    const requestTimeoutMs = 1_500;
    await withHeldReplica(
      [],
      async (writer, asked) => {
        const atLeast = await grant(writer, 'ann');
        await ask(asked, { user: 'bob' });
        const held = holdNext('after users were read');
        const waits: number[] = [];
        const put = async (index: number) => {
          const about = [{ user: 'ann' }, { user: 'ann', atLeast }, { user: 'bob' }][index % 3] as Question;
          const begun = performance.now();
          const answer = await outcome(asked, index % 2 === 0 ? about : { ...about, freshness: 'lease' });
          waits.push(performance.now() - begun);
          return { user: about.user, answer };
        };
        const first = put(0);
        await held.reached;
        const answers = await Promise.all([first, ...Array.from({ length: 999 }, (_, index) => put(index))]);
        held.release();
        for (const { user, answer } of answers)
          expect([user === 'bob' ? 'denied' : 'allowed', 503]).toContain(answer);
        expect(answers.some(({ answer }) => answer === 'denied')).toBe(true);
        expect(answers.filter(({ answer }) => answer === 503).length).toBeGreaterThan(0);
        // Its own deadline and what a busy machine adds.
        expect(Math.max(...waits)).toBeLessThan(requestTimeoutMs * 4);
        expect(await outcome(asked, { user: 'ann' })).toBe('allowed');
      },
      { requestTimeoutMs },
    );
  });

  test.for<readonly [string, Breakage]>([
    [
      'a failed fill counts as one that found nobody',
      {
        file: 'services/decisions/user-cache.ts',
        replace: 'this.#mirror.snapshot?.revision ?? null,\n    );',
        by: `this.#mirror.snapshot?.revision ?? null).catch(() => ({
      revision: this.#mirror.snapshot!.revision, users: [], credentials: [] }));`,
      },
    ],
    [
      'a failed read of the head is as good as one',
      {
        file: 'services/decisions/freshness.ts',
        replace: 'let head = await headOfKnownPlace();',
        by: `let head = await headOfKnownPlace().catch(() => ({
      revision: mirror.snapshot!.revision, now: now(), place: place! }));`,
      },
    ],
    [
      'a failed read of the changes is as good as one',
      {
        file: 'services/decisions/freshness.ts',
        replace: 'await mirror.reach(head.revision);',
        by: 'await mirror.reach(head.revision).catch(() => {});',
      },
    ],
  ])('is a decision in a build in which %s', { timeout: 120_000 }, async ([, breakage]) => {
    const { wrong } = await failures(breakage, 1);
    expect(wrong).toBeGreaterThan(0);
  });
});
