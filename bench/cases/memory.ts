import { questionOf } from '../data.ts';
import { atMost } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { hotQuestions, hotRequests, request, requireRightAnswers } from '../requests.ts';
import { median } from '../rounds.ts';

const checksPerBatch = 1_000;

/** What the process keeps once it has answered about 100,000 users and is at work. */
export const memoryCases: readonly Case[] = [
  {
    name: 'memory',
    async measure(stage) {
      const world = await stage.world();
      const users = Math.min(100_000, world.size.users);
      const batches = Array.from({ length: users / checksPerBatch }, (_, batch) => {
        const checks = Array.from({ length: checksPerBatch }, (_, n) => {
          const { user, permission, scope } = questionOf(batch * checksPerBatch + n, n, world.size);
          return { user, permission, scope };
        });
        return request('POST', '/authorize/batch', world.askingKey, { checks });
      });
      const [atStart, cached]: [number[], number[]] = [[], []];
      for (let round = 1; round <= stage.options.repeats; round += 1) {
        const service = await stage.serve(world);
        await requireRightAnswers(service.url, world, hotQuestions(world.size));
        atStart.push(service.residentMb());
        await load(stage.generator, service, {
          connections: 1,
          seconds: 120,
          requests: batches,
          repeat: false,
        });
        const requests = hotRequests(world, 'latest');
        await load(stage.generator, service, {
          connections: 64,
          seconds: stage.options.warmUpSeconds,
          requests,
        });
        cached.push(service.residentMb());
        await service.stop();
        stage.say(`memory: round ${round}: ${Math.round(cached.at(-1) ?? 0)} MB`);
      }
      return [
        {
          case: 'memory',
          what: `resident memory after ${users.toLocaleString('en')} users were asked about`,
          against: '',
          unit: 'MB',
          values: cached,
          bound: atMost(250, 150),
          note: `${Math.round(median(atStart))} MB after the first 1,000 users, ${Math.round(median(cached))} MB after all`,
        },
      ];
    },
  },
];
