import { atLeast, type Bound, ratioOf } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { hotQuestions, hotRequests, hotUsers, request, requireRightAnswers } from '../requests.ts';
import { interleave, type Run } from '../rounds.ts';

export const batchCases: readonly Case[] = [batch(100), batch(1_000, atLeast(10, 25))];

/** The same questions about the same users, many in one request or one in each. */
function batch(checks: number, bound?: Bound): Case {
  const name = `batch-${checks}`;
  return {
    name,
    async measure(stage) {
      const world = await stage.world();
      const service = await stage.serve(world);
      const questions = hotQuestions(world.size, hotUsers * 4);
      await requireRightAnswers(service.url, world, questions.slice(0, 1_000));
      const asked = questions.map(({ user, permission, scope }) => ({ user, permission, scope }));
      const batches = Array.from({ length: asked.length / checks }, (_, n) =>
        request('POST', '/authorize/batch', world.askingKey, {
          checks: asked.slice(n * checks, (n + 1) * checks),
        }),
      );
      const singles = hotRequests(world, 'latest');
      const pairs = await interleave(
        stage,
        name,
        async (seconds) => {
          const run = await load(stage.generator, service, { connections: 4, seconds, requests: batches });
          return ofEach(run, checks);
        },
        (seconds) => load(stage.generator, service, { connections: 64, seconds, requests: singles }),
      );
      await service.stop();
      return [
        {
          case: name,
          what: `checks per second in batches of ${checks.toLocaleString('en')}, 4 connections`,
          against: 'single /authorize latest, 64 connections',
          ...(bound ? { bound } : {}),
          ...ratioOf(pairs),
        },
      ];
    },
  };
}

function ofEach({ rate, cpuMicros, busy }: Run, checks: number): Run {
  return { rate: rate * checks, ...(cpuMicros && busy ? { cpuMicros: cpuMicros / checks, busy } : {}) };
}
