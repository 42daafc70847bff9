/** Asks known questions without a pause while something fails, and counts what came of it. */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { Replica } from './replicas.ts';
import { ask, done, outcomeOf, type Question } from './vault.ts';

export interface Watched {
  answered: number;
  /** 503: nobody decided anything. */
  unavailable: number;
  /** Questions among them. */
  unanswered: number;
  /** An allowed that should be a denied, or the other way round. */
  wrong: number;
  /** Refusals and failures that a fault of the infrastructure must never cause, by status. */
  readonly faulty: Record<number, number>;
  /** Milliseconds. */
  longest: number;
  writes: number;
  /** Writes that were acknowledged and are not there. */
  lost: number;
  /** Milliseconds from the end of the fault until every replica answers and writes. */
  recovery: number;
}

const known: readonly (Question & { readonly due: string })[] = [
  { user: 'ann', due: 'allowed' },
  { user: 'ann', freshness: 'lease', due: 'allowed' },
  { user: 'bob', due: 'denied' },
  { user: 'zed', due: 'denied' },
];

/** How long all is well before and after the fault, in milliseconds. */
const quietMs = 150;

/** `ann` has the role, `bob` has not, `zed` does not exist; users are made meanwhile. `fault` resolves when it is over. */
export async function watch(replicas: readonly Replica[], fault: () => Promise<void>): Promise<Watched> {
  const seen: Watched = {
    answered: 0,
    unavailable: 0,
    unanswered: 0,
    wrong: 0,
    faulty: {},
    longest: 0,
    writes: 0,
    lost: 0,
    recovery: 0,
  };
  let watching = true;

  async function timed<T>(work: Promise<T>): Promise<T> {
    const begun = performance.now();
    const result = await work;
    seen.longest = Math.max(seen.longest, performance.now() - begun);
    return result;
  }

  async function asker(replica: Replica, offset: number): Promise<void> {
    for (let turn = offset; watching; turn += 1) {
      const { due, ...question } = known[turn % known.length] as (typeof known)[number];
      const answer = outcomeOf(await timed(ask(replica, question)));
      if (answer === 503) {
        seen.unavailable += 1;
        seen.unanswered += 1;
        await pause(5);
      } else if (typeof answer === 'number') seen.faulty[answer] = (seen.faulty[answer] ?? 0) + 1;
      else if (answer !== due) seen.wrong += 1;
      else seen.answered += 1;
      await pause(1);
    }
  }

  const made: string[] = [];
  async function writer(replica: Replica): Promise<void> {
    while (watching) {
      const id = `made-${crypto.randomUUID()}`;
      const { status } = await timed(replica.request({ method: 'POST', url: '/users', payload: { id } }));
      if (status === 201) made.push(id);
      else if (status === 503) seen.unavailable += 1;
      else seen.faulty[status] = (seen.faulty[status] ?? 0) + 1;
      await pause(10);
    }
  }

  const running = replicas.flatMap((replica) => [
    ...[0, 1, 2].map((offset) => asker(replica, offset)),
    writer(replica),
  ]);
  await pause(quietMs);
  await fault();
  const over = performance.now();
  await Promise.all(replicas.map(untilWell));
  seen.recovery = performance.now() - over;
  await pause(quietMs);
  watching = false;
  await Promise.all(running);
  const [first] = replicas as readonly [Replica];
  for (const id of made) {
    const { status } = await first.request({ method: 'GET', url: `/users/${id}` });
    if (status !== 200) seen.lost += 1;
  }
  seen.writes = made.length;
  return seen;
}

async function untilWell(replica: Replica): Promise<void> {
  for (;;) {
    const answer = await ask(replica, { user: 'ann' });
    const written = await done(replica, 'POST', '/users', { id: `well-${crypto.randomUUID()}` }).catch(
      () => '',
    );
    if (answer.status === 200 && written !== '') return;
    await pause(10);
  }
}
