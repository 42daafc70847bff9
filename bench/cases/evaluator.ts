import { atLeast, type Bound, ratioOf } from '../figures.ts';
import type { Case } from '../main.ts';
import { interleave, type Run } from '../rounds.ts';

export const evaluatorCases: readonly Case[] = [
  against('casl', 'CASL `can`, an ability for each user', atLeast(5, 15)),
  against('casbin', 'casbin `enforceSync`'),
];

/** The decision without HTTP or database, on the same data and questions. */
function against(rival: string, description: string, bound?: Bound): Case {
  const name = `in-process-${rival}`;
  return {
    name,
    async measure(stage) {
      const ours = await stage.measuredWorker('evaluator.js', 'rolecall');
      const theirs = await stage.measuredWorker('evaluator.js', rival);
      const pairs = await interleave(
        stage,
        name,
        (seconds) => ours.ask<Run>({ seconds: Math.min(seconds, 1) }),
        (seconds) => theirs.ask<Run>({ seconds: Math.min(seconds, 1) }),
      );
      await Promise.all([ours.stop(), theirs.stop()]);
      return [
        {
          case: name,
          what: 'the evaluator in a process',
          against: description,
          ...(bound ? { bound } : {}),
          ...ratioOf(pairs),
        },
      ];
    },
  };
}
