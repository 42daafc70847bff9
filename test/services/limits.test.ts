import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Principal } from '../../src/domain/principals.ts';
import { openLimits, type Stay } from '../../src/services/limits.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';

type Command =
  | { readonly does: 'enter' }
  | { readonly does: 'admit'; readonly place: number; readonly credential: number }
  | { readonly does: 'leave'; readonly place: number }
  | { readonly does: 'pass'; readonly milliseconds: number };

const options = { requestsPerSecond: 2, mostInFlight: 6 };
const mostOfOne = 3;

const place = fc.nat({ max: 9 });
const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ does: fc.constant('enter') }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ does: fc.constant('admit'), place, credential: fc.constantFrom(1, 2) }),
    },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('leave'), place }) },
    {
      weight: 2,
      arbitrary: fc.record({ does: fc.constant('pass'), milliseconds: fc.constantFrom(1, 250, 1_000) }),
    },
  ) as fc.Arbitrary<Command>,
  { minLength: 30, maxLength: 80 },
);

/** A request that came, as the model sees it. */
interface Came {
  readonly stay: Stay;
  credential?: number;
  isHere: boolean;
}

/** Does one command after the other and says what the limits did otherwise than they should; nothing, if all was well. */
function firstFinding(history: readonly Command[], open: typeof openLimits): string | undefined {
  let now = 0;
  const limits = open(options, () => now);
  const came: Came[] = [];
  const left = new Map([1, 2].map((credential) => [credential, options.requestsPerSecond]));
  const here = (credential?: number) =>
    came.filter((one) => one.isHere && (credential === undefined || one.credential === credential)).length;
  for (const [step, command] of history.entries()) {
    const [expected, actual] = play(command);
    const before = `after ${step + 1} commands (${command.does})`;
    if (actual !== expected) return `${before}: ${actual} instead of ${expected}`;
    if (limits.inFlight !== here()) return `${before}: ${limits.inFlight} in flight, not ${here()}`;
  }
  return undefined;

  function play(command: Command): readonly [expected: string, actual: string] {
    if (command.does === 'pass') {
      now += command.milliseconds;
      for (const [credential, some] of left)
        left.set(
          credential,
          Math.min(
            some + (command.milliseconds / 1_000) * options.requestsPerSecond,
            options.requestsPerSecond,
          ),
        );
      return ['done', 'done'];
    }
    if (command.does === 'enter') {
      const isFull = here() >= options.mostInFlight;
      const expected = isFull ? 'unavailable' : 'done';
      return [expected, outcome(() => came.push({ stay: limits.enter(), isHere: true }))];
    }
    const one = came.at(-1 - command.place);
    if (!one) return ['done', 'done'];
    if (command.does === 'leave') {
      one.isHere = false;
      return ['done', outcome(() => one.stay.leave())];
    }
    if (one.credential !== undefined) return ['done', 'done'];
    const { credential } = command;
    const admit = () => one.stay.admit({ credentialPk: credential } as Principal);
    // Whoever hung up while their credential was looked up takes nothing.
    if (!one.isHere) return ['done', outcome(admit)];
    const some = left.get(credential) ?? 0;
    const expected = here(credential) < mostOfOne && some >= 1 ? 'done' : 'rate_limited';
    if (expected === 'done') {
      left.set(credential, some - 1);
      one.credential = credential;
    }
    return [expected, outcome(admit)];
  }
}

/** `done`, or the code of what was thrown. */
function outcome(work: () => unknown): string {
  try {
    work();
    return 'done';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('what is under way, of all and of each credential, is what came in and has not left (L-06)', () => {
  fc.assert(
    fc.property(commands, (history) => {
      expect(firstFinding(history, openLimits)).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

const file = 'services/limits.ts';

const breakages: Readonly<Record<string, Breakage | readonly Breakage[]>> = {
  'any number is under way': { file, replace: 'if (inFlight >= mostInFlight)', by: 'if (inFlight < 0)' },
  'one credential takes all places': {
    file,
    replace: 'if (others >= mostOfOne)',
    by: 'if (others >= mostInFlight)',
  },
  'one credential makes any number of requests': { file, replace: 'if (wait > 0)', by: 'if (wait < 0)' },
  'who is refused for too many under way takes a place for ever': {
    file,
    replace: 'turnedAway.overload += 1;',
    by: 'turnedAway.overload += 1; inFlight += 1;',
  },
  'who is refused for the share of its credential takes of it for ever': {
    file,
    replace: 'turnedAway.share += 1;',
    by: 'turnedAway.share += 1; ofCredential.set(credentialPk, others + 1);',
  },
  'who is refused for the rate of its credential takes of its share for ever': {
    file,
    replace: 'spendRate(credentialPk);',
    by: 'ofCredential.set(credentialPk, others + 1); spendRate(credentialPk);',
  },
  'who has left is counted for its credential still': {
    file,
    replace: '(ofCredential.get(this.#credential) ?? 0) - 1',
    by: '(ofCredential.get(this.#credential) ?? 0)',
  },
  'who leaves twice gives two places back': {
    file,
    replace: 'if (this.#hasLeft) return;\n      this.#hasLeft = true;',
    by: '',
  },
  'who has left takes a place of their credential': {
    file,
    replace: 'if (this.#hasLeft) return;\n      const others',
    by: 'const others',
  },
  'what one credential has under way shuts out another': {
    file,
    replace: 'ofCredential.get(credentialPk) ?? 0;',
    by: '[...ofCredential.values()].reduce((sum, count) => sum + count, 0);',
  },
  'the rate of one credential is spent by another': [
    { file, replace: 'rates.wait(credential, at)', by: 'rates.wait(0, at)' },
    { file, replace: 'rates.spend(credential, at)', by: 'rates.spend(0, at)' },
  ],
};

describe('a build is found out in which', () => {
  /** Always the same, so that it is known that they tell. */
  const drawn = fc.sample(commands, { seed: 6, numRuns: 200 });
  const findingOf = (open: typeof openLimits) =>
    drawn.map((history) => firstFinding(history, open)).find((finding) => finding !== undefined);

  test.for(Object.entries(breakages))('%s', async ([, breakage], { annotate }) => {
    const finding = await withBrokenBuild(breakage, async (load) => {
      const broken = await load<{ openLimits: typeof openLimits }>(file);
      return findingOf(broken.openLimits);
    });
    expect(finding).toBeDefined();
    await annotate(String(finding));
  });

  test('nothing is broken, never', () => {
    expect(findingOf(openLimits)).toBeUndefined();
  });
});
