import { afterAll, beforeAll, expect, test } from 'vitest';
import { nothingSeen, openStreet, type Street } from '../support/door-walk.ts';
import { emptyHouse, replay } from '../support/escalation-replay.ts';
import { calls, explore, graphs } from '../support/escalation-steps.ts';
import { long, summarize } from '../support/long-run.ts';

const steps = 3;
/** Of each graph, how many of the states are made in earnest. */
const replayed = long ? 60 : 3;

let street: Street;
beforeAll(async () => {
  street = await openStreet();
});
afterAll(() => street.close());

test.for(graphs.map((graph, index) => [index, graph] as const))(
  'no three calls, one after the other, end with more than their caller had: graph %i (A-10)',
  { timeout: 1_800_000 },
  async ([index, graph]) => {
    const { states, judged, escalations } = explore(graph, steps, emptyHouse);
    expect(escalations.map(({ path }) => path)).toEqual([]);
    const seen = nothingSeen();
    const chosen = spread(states, replayed);
    for (const [place, state] of chosen.entries())
      await replay(street, index * 10_000 + place, graph, state, seen);
    expect(seen.given).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
    const { given, refused, nothingToChange } = seen;
    const figures = { states: states.length, judged, 'states replayed': chosen.length };
    summarize(`sequences of ${steps} of ${calls.length} calls, graph ${index}, escalations 0`, {
      ...figures,
      ...{ given, refused, nothingToChange },
    });
  },
);

/** So many of a list, from its beginning to its end. */
function spread<T>(all: readonly T[], most: number): readonly T[] {
  const step = Math.max(1, all.length / most);
  return Array.from({ length: Math.min(most, all.length) }, (_, n) => all[Math.floor(n * step)] as T);
}
