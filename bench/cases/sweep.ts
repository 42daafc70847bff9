import type { Size } from '../data.ts';
import { ratioOf } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { hotQuestions, hotRequests, requireRightAnswers } from '../requests.ts';
import { interleave } from '../rounds.ts';
import { describeSize } from '../stage.ts';

const middle: Size = { users: 100_000, roles: 100, permissions: 1_000 };

/** One measure at a time is varied, the others stay in the middle. */
const sizes: readonly Size[] = [
  ...[1_000, 10_000, 100_000, 1_000_000].map((users) => ({ ...middle, users })),
  ...[10, 1_000].map((roles) => ({ ...middle, roles })),
  ...[100, 5_000].map((permissions) => ({ ...middle, permissions })),
];

/** Whether the price of a check depends on how much there is. */
export const sweepCases: readonly Case[] = sizes.map((size) => {
  const { users, roles, permissions } = size;
  const name = `sweep-${users}-${roles}-${permissions}`;
  return {
    name,
    async measure(stage) {
      const world = await stage.world(
        stage.options.quick ? { ...size, users: Math.min(users, 10_000) } : size,
      );
      const service = await stage.serve(world);
      const limit = await stage.limitServer('limits/fastify.js');
      await requireRightAnswers(service.url, world, hotQuestions(world.size));
      const run = { connections: 64, requests: hotRequests(world, 'latest') };
      const pairs = await interleave(
        stage,
        name,
        (seconds) => load(stage.generator, service, { ...run, seconds }),
        (seconds) => load(stage.generator, limit, { ...run, seconds }),
      );
      const resident = `, ${Math.round(service.residentMb())} MB resident`;
      await Promise.all([service.stop(), limit.stop()]);
      const ratio = ratioOf(pairs);
      const what = `/authorize latest, warm; ${describeSize(world.size)}`;
      const against = 'bare Fastify POST with JSON schema';
      return [{ case: name, what, against, ...ratio, note: ratio.note + resident }];
    },
  };
});
