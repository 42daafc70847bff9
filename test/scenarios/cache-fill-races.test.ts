import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { at, barrierBuild, holdNext, type Place } from '../support/barriers.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness } from '../support/broken-freshness.ts';
import { long, summarize, untilFound } from '../support/long-run.ts';
import {
  buildOf,
  type Replica,
  type ReplicaOptions,
  startReplica,
  startReplicas,
} from '../support/replicas.ts';
import { ask, buildVault, done, grant, outcome, outcomeOf, revoke } from '../support/vault.ts';

const places: readonly Place[] = [
  'before users are read',
  'after users were read',
  'before changes are read',
  'after changes were read',
  'before the head is read',
  'after the head was read',
];

let undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const place of places) at(place, undefined);
  for (const step of undo.reverse()) await step();
  undo = [];
});

/** A sound replica that writes, and one of a build that can be held, broken or not, that is asked. */
async function withHeldReplica<Result>(
  breakage: Breakage | readonly Breakage[],
  work: (writer: Replica, asked: Replica) => Promise<Result>,
  options: ReplicaOptions = {},
): Promise<Result> {
  return withBrokenBuild([...barrierBuild, ...[breakage].flat()], async (load) => {
    const { replicas, database, adminKey, close } = await startReplicas(1);
    const [writer] = replicas as readonly [Replica];
    await buildVault(writer, ['ann', 'bob']);
    const asked = await startReplica(database.url, adminKey, { ...options, build: await buildOf(load) });
    try {
      return await work(writer, asked);
    } finally {
      for (const place of places) at(place, undefined);
      await asked.close();
      await close();
    }
  });
}

/** Ann is read while she has the role, loses it, the loss is known, and only then what was read arrives. */
async function lateFill(breakage: Breakage | readonly Breakage[]): Promise<string[]> {
  return withHeldReplica(breakage, async (writer, asked) => {
    await grant(writer, 'ann');
    await ask(asked, { user: 'bob' });
    const held = holdNext('after users were read');
    const during = outcome(asked, { user: 'ann' });
    await held.reached;
    await revoke(writer, 'ann');
    await ask(asked, { user: 'bob' });
    held.release();
    await during;
    return [String(await outcome(asked, { user: 'ann' })), String(await outcome(asked, { user: 'ann' }))];
  });
}

/** The head is read, Ann loses the role, and only then somebody asks about her while that read has not come back. */
async function lateQuestion(breakage: Breakage | readonly Breakage[]): Promise<string> {
  return withHeldReplica(breakage, async (writer, asked) => {
    await grant(writer, 'ann');
    await ask(asked, { user: 'ann' });
    const held = holdNext('after the head was read');
    const before = ask(asked, { user: 'bob' });
    await held.reached;
    await revoke(writer, 'ann');
    const answer = outcome(asked, { user: 'ann' });
    await pause(20);
    held.release();
    await before;
    return String(await answer);
  });
}

describe('what was read before a change', () => {
  test('and arrives after it is not kept (C-10)', async () => {
    expect(await lateFill([])).toEqual(['denied', 'denied']);
  });

  test('is kept in a build that does not discard it', async () => {
    expect(await lateFill(brokenFreshness['a fill that began before an invalidation is kept'])).toContain(
      'allowed',
    );
  });

  test('of the head does not answer who asked after the change', async () => {
    expect(await lateQuestion([])).toBe('denied');
  });

  test('of the head answers who asked later in a build that shares it with them', async () => {
    const breakage = brokenFreshness['a read of the head serves those who came after it began'];
    expect(await lateQuestion(breakage)).toBe('allowed');
  });

  test('is thrown away in any order of fills, changes and questions (C-10)', {
    timeout: 3_600_000,
  }, async () => {
    const { questions, stale } = await randomRaces([], long ? 5_000 : 25);
    summarize('C-10, random races', { questions, stale });
    expect(stale).toBe(0);
  });

  test('is found in random races of a build that keeps it', { timeout: 300_000 }, async () => {
    const breakage = brokenFreshness['a fill that began before an invalidation is kept'];
    const isFound = await untilFound(async (times) => (await randomRaces(breakage, 25 * times)).stale > 0);
    expect(isFound).toBe(true);
  });
});

/** Random waits wherever a race can be lost, while Ann is given the role and loses it, and everybody asks. */
async function randomRaces(breakage: Breakage | readonly Breakage[], rounds: number) {
  return withHeldReplica(breakage, async (writer, asked) => {
    let questions = 0;
    let stale = 0;
    const random = fc.sample(fc.nat(6), { seed: 11, numRuns: 1_000 });
    let drawn = 0;
    const draw = () => random[drawn++ % random.length] ?? 0;
    for (const place of places) at(place, () => pause(draw()));
    // Long enough for a change to be made and known meanwhile.
    at('after users were read', () => pause(draw() * 10));
    for (let round = 0; round < rounds; round += 1) {
      // Whoever is in memory is not read.
      await done(writer, 'PATCH', '/users/ann', { email: `ann-${round}@example.org` });
      const early = Array.from({ length: 4 }, async (_, index) => {
        await pause(draw());
        return ask(asked, { user: index % 2 === 0 ? 'ann' : 'bob' });
      });
      await pause(draw() * 4);
      await (round % 2 === 0 ? grant : revoke)(writer, 'ann');
      const due = round % 2 === 0 ? 'allowed' : 'denied';
      const late = Array.from({ length: 4 }, async () => {
        await pause(draw());
        return outcome(asked, { user: 'ann' });
      });
      for (const answer of await Promise.all(late)) {
        questions += 1;
        if (answer !== due) stale += 1;
      }
      await Promise.all(early);
    }
    return { questions, stale };
  });
}

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
    const tally = await failures([], long ? 100 : 1);
    summarize('C-11', tally);
    expect(tally).toMatchObject({ wrong: 0, wrongLater: 0 });
    expect(tally.unavailable).toBeGreaterThan(0);
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
        replace: 'const head = await headOfKnownPlace();',
        by: `const head = await headOfKnownPlace().catch(() => ({
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
