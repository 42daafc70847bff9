import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { at, barrierBuild } from '../support/barriers.ts';
import { withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness, type Reason } from '../support/broken-freshness.ts';
import { long, spread, summarize, untilFound } from '../support/long-run.ts';
import {
  type Build,
  buildOf,
  type Replica,
  type ReplicaOptions,
  startReplicas,
} from '../support/replicas.ts';
import { ask, buildVault, done, grant, outcomeOf, permission, revoke, role } from '../support/vault.ts';

/** Nothing but what a question demands keeps an answer that is asked for under such a lease current. */
const longLease = { ROLECALL_LEASE_MS: '60000' };
/** How often each replica is asked at once, in either way. */
const copies = long ? 6 : 2;
const people = ['ann', 'bob', 'cid', 'dan', 'eve', 'fay'];

interface Tally {
  /** By how the answer was asked for, how often, and how often it was not as the last write left it. */
  readonly tries: Record<'latest' | 'atLeast', number>;
  readonly stale: Record<'latest' | 'atLeast', number>;
  writes: number;
  readonly milliseconds: number[];
}

/**
 * Gives and takes a role again and again, for several people at once, each write at another replica; as soon as it is
 * acknowledged, asks all replicas, by its revision and without.
 */
async function giveAndTake(rounds: number, options: ReplicaOptions): Promise<Tally> {
  const { replicas, close } = await startReplicas(3, { ...options, variables: longLease });
  const tally: Tally = {
    tries: { latest: 0, atLeast: 0 },
    stale: { latest: 0, atLeast: 0 },
    writes: 0,
    milliseconds: [],
  };
  const [first] = replicas as readonly [Replica];
  await buildVault(first, people);

  async function check(replica: Replica, user: string, atLeast: string | undefined, due: string) {
    const way = atLeast === undefined ? 'latest' : 'atLeast';
    const question = atLeast === undefined ? { user } : { user, atLeast, freshness: 'lease' as const };
    const begun = performance.now();
    const answer = outcomeOf(await ask(replica, question));
    tally.milliseconds.push(performance.now() - begun);
    tally.tries[way] += 1;
    if (answer !== due) tally.stale[way] += 1;
  }

  async function lane(user: string, number: number) {
    for (let round = 0; round < rounds; round += 1) {
      const writer = replicas[(round + number) % 3] as Replica;
      const gives = round % 2 === 0;
      const revision = await (gives ? grant : revoke)(writer, user);
      tally.writes += 1;
      const due = gives ? 'allowed' : 'denied';
      const asked = Array.from({ length: copies }).flatMap(() => [revision, undefined]);
      await Promise.all(
        replicas.flatMap((replica) => asked.map((atLeast) => check(replica, user, atLeast, due))),
      );
    }
  }
  // Somebody asks all the time, so that there is always a read under way when a write is acknowledged.
  let isOver = false;
  const asking = replicas.map(async (replica) => {
    while (!isOver) await ask(replica, { user: 'ann' });
  });
  await Promise.all(people.map(lane)).finally(async () => {
    isOver = true;
    await Promise.all(asking);
    await close();
  });
  return tally;
}

describe('what was given or taken at one replica', () => {
  test('is so at every replica for whoever asks afterwards, with the revision or without (C-01)', {
    timeout: 7_200_000,
  }, async () => {
    const { tries, stale, writes, milliseconds } = await giveAndTake(long ? 1_860 : 16, { listens: true });
    summarize('C-01', { writes, latest: tries.latest, atLeast: tries.atLeast, stale: JSON.stringify(stale) });
    summarize('C-01, milliseconds until an answer', spread(milliseconds));
    expect(stale).toEqual({ latest: 0, atLeast: 0 });
  });

  test('is so for whoever asks under a lease once the lease is over, and sooner where notifications arrive (C-01)', {
    timeout: 3_600_000,
  }, async () => {
    for (const listens of [true, false]) {
      const { ages, beyond } = await agesUnderLease(long ? 300 : 6, { listens });
      summarize(
        `staleness under a lease of ${leaseMs} ms, ${listens ? 'with' : 'without'} notifications, ms`,
        {
          samples: ages.length,
          ...spread(ages),
          beyond,
        },
      );
      expect(beyond).toBe(0);
    }
  });

  const latest = ['latest'] as const;
  test.for<readonly [Reason, readonly ('latest' | 'atLeast')[]]>([
    ['only notifications bring what is new', latest],
    ['a revision read before the request came is good enough', latest],
    ['what the journal names is kept', ['latest', 'atLeast']],
    ['the revision that was asked for is not waited for', ['atLeast']],
  ])('is not always so in a build in which %s (%s)', { timeout: 300_000 }, async ([reason, ways]) => {
    const isFound = await onBroken(reason, (build) =>
      untilFound(async (times) => {
        const { stale } = await giveAndTake(16 * times, { build, listens: true });
        return ways.every((way) => stale[way] > 0);
      }),
    );
    expect(isFound).toBe(true);
  });

  test.for<Reason>([
    'a read of the head serves those who came after it began',
    'who came when a read of the head was under way had come before',
  ])(
    'is not always so, where reads take their time, in a build in which %s',
    {
      timeout: 300_000,
    },
    async (reason) => {
      const isFound = await withBrokenBuild(
        [...barrierBuild, brokenFreshness[reason]].flat(),
        async (load) => {
          const build = await buildOf(load);
          at('after the head was read', () => pause(5));
          return untilFound(async (times) => (await giveAndTake(2 * times, { build })).stale.latest > 0);
        },
      ).finally(() => at('after the head was read', undefined));
      expect(isFound).toBe(true);
    },
  );

  test('is past the lease in a build in which a lease has no end', { timeout: 300_000 }, async () => {
    const { beyond } = await onBroken('a lease has no end', (build) => agesUnderLease(2, { build }));
    expect(beyond).toBeGreaterThan(0);
  });
});

const leaseMs = 300;

/** How long after a write was acknowledged questions under a lease were still answered as if it had not been made. */
async function agesUnderLease(rounds: number, options: ReplicaOptions) {
  const variables = { ROLECALL_FRESHNESS: 'lease', ROLECALL_LEASE_MS: String(leaseMs) };
  const { replicas, close } = await startReplicas(3, { ...options, variables });
  const [first, ...others] = replicas as readonly [Replica, ...Replica[]];
  await buildVault(first, ['ann']);
  const ages: number[] = [];
  let beyond = 0;
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all(others.map((other) => ask(other, { user: 'ann' })));
    await (round % 2 === 0 ? grant : revoke)(first, 'ann');
    const acknowledged = performance.now();
    const due = round % 2 === 0 ? 'allowed' : 'denied';
    await Promise.all(
      others.map(async (other) => {
        let age = 0;
        for (;;) {
          const asked = performance.now() - acknowledged;
          if (asked > leaseMs * 3) break;
          if (outcomeOf(await ask(other, { user: 'ann' })) === due) break;
          age = asked;
          if (age > leaseMs) beyond += 1;
          await pause(2);
        }
        ages.push(age);
      }),
    );
  }
  await close();
  return { ages, beyond };
}

describe('two changes, one after the other', () => {
  /**
   * Ann leaves the role before the role gets the permission, and the role loses it before she is back: at no revision
   * may she open the vault. Goes on until so many answers have come.
   */
  async function timesOpened(answers: number, options: ReplicaOptions) {
    const { replicas, close } = await startReplicas(3, options);
    const [first, second, third] = replicas as readonly [Replica, Replica, Replica];
    await buildVault(first, ['ann']);
    await done(first, 'DELETE', `/roles/${role}/permissions/${permission}`);
    await grant(first, 'ann');
    let writing = true;
    const seen = { answers: 0, opened: 0, revisions: new Set<string>() };
    const note = ({ status, body }: Awaited<ReturnType<typeof ask>>, isOpen: (body: never) => boolean) => {
      if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
      seen.answers += 1;
      seen.revisions.add((body as { revision: string }).revision);
      if (isOpen(body as never)) seen.opened += 1;
    };
    const checks = [{ permission }, { user: 'root', permission }, { user: 'ann', permission }];
    const reader = async (replica: Replica) => {
      while (writing) {
        const [one, many, list] = await Promise.all([
          ask(replica, { user: 'ann' }),
          replica.request({ method: 'POST', url: '/authorize/batch', payload: { user: 'ann', checks } }),
          replica.request({ method: 'GET', url: '/users/ann/permissions' }),
        ]);
        note(one, (body: { allowed: boolean }) => body.allowed);
        note(many, (body: { results: { allowed: boolean }[] }) => body.results[0]?.allowed === true);
        note(list, (body: { permissions: string[] }) => body.permissions.includes('vault_open'));
      }
    };
    const write = async () => {
      while (seen.answers < answers) {
        await revoke(first, 'ann');
        await done(second, 'PUT', `/roles/${role}/permissions/${permission}`);
        await done(third, 'DELETE', `/roles/${role}/permissions/${permission}`);
        await grant(second, 'ann');
      }
    };
    // So that each begins with what a copy that forgets nothing would go on believing.
    await Promise.all(replicas.map((replica) => ask(replica, { user: 'ann' })));
    const readers = replicas.map(reader);
    await write().finally(() => {
      writing = false;
    });
    await Promise.all(readers).finally(close);
    return seen;
  }

  test('are never seen the other way round, by a check, a batch or a list (C-02)', {
    timeout: 3_600_000,
  }, async () => {
    const { answers, opened, revisions } = await timesOpened(long ? 1_000_000 : 1_500, {});
    summarize('C-02', { answers, revisions: revisions.size, opened });
    expect(opened).toBe(0);
  });

  test('are seen so in a build in which what the journal names is kept', async () => {
    const isFound = await onBroken('what the journal names is kept', (build) =>
      untilFound(async (times) => (await timesOpened(200 * times, { build })).opened > 0),
    );
    expect(isFound).toBe(true);
  });
});

describe('somebody who was not there', () => {
  /** Asks about people before they are made, while they are made, and after they were given the role, in both ways. */
  async function denials(rounds: number, options: ReplicaOptions) {
    const { replicas, close } = await startReplicas(3, { ...options, variables: longLease });
    const [first] = replicas as readonly [Replica];
    await buildVault(first);
    const seen = { latest: 0, atLeast: 0, denied: 0 };
    const lane = async (number: number) => {
      for (let round = 0; round < rounds; round += 1) {
        const user = `new-${number}-${round}`;
        const before = replicas.map((replica) => ask(replica, { user }));
        expect((await Promise.all(before)).map(outcomeOf)).toEqual(['denied', 'denied', 'denied']);
        const meanwhile = replicas.map((replica) => ask(replica, { user }));
        const writer = replicas[(round + number) % 3] as Replica;
        await done(writer, 'POST', '/users', { id: user });
        const atLeast = await grant(writer, user);
        await Promise.all(meanwhile);
        const questions = Array.from({ length: copies }).flatMap(() => [
          { user },
          { user, atLeast, freshness: 'lease' as const },
        ]);
        const after = replicas.flatMap((replica) => questions.map((question) => ask(replica, question)));
        const denied = (await Promise.all(after)).filter((answer) => outcomeOf(answer) !== 'allowed');
        seen.latest += after.length / 2;
        seen.atLeast += after.length / 2;
        seen.denied += denied.length;
      }
    };
    await Promise.all([0, 1, 2, 3].map(lane)).finally(close);
    return seen;
  }

  test('is there for every replica as soon as they were made, with the revision or without (C-15)', {
    timeout: 3_600_000,
  }, async () => {
    const seen = await denials(long ? 1_400 : 6, { listens: true });
    summarize('C-15, after the grant', seen);
    expect(seen.denied).toBe(0);
  });

  test('stays away in a build in which who was not there is not there for good', async () => {
    const seen = await onBroken('who was not there is not there for good', (build) => denials(2, { build }));
    expect(seen.denied).toBeGreaterThan(0);
  });
});

function onBroken<Result>(reason: Reason, work: (build: Build) => Promise<Result>): Promise<Result> {
  return withBrokenBuild(brokenFreshness[reason], async (load) => work(await buildOf(load)));
}
