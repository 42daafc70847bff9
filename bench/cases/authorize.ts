import { questionOf } from '../data.ts';
import { atLeast, type Bound, ratioOf } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import {
  authorizeRequest,
  type Freshness,
  hotQuestions,
  hotRequests,
  requireRightAnswers,
} from '../requests.ts';
import { interleave } from '../rounds.ts';

const bare = 'bare Fastify POST with JSON schema';

export const authorizeCases: readonly Case[] = [
  warm('authorize-lease', 'lease', 64, atLeast(0.7, 0.85)),
  warm('authorize-latest-64', 'latest', 64, atLeast(0.6, 0.8)),
  warm('authorize-latest-256', 'latest', 256, atLeast(0.6, 0.8)),
  cold(),
];

/** The same 1,000 users over and over. */
function warm(name: string, freshness: Freshness, connections: number, bound: Bound): Case {
  return {
    name,
    async measure(stage) {
      const world = await stage.world();
      const service = await stage.serve(world);
      const limit = await stage.limitServer('limits/fastify.js');
      await requireRightAnswers(service.url, world, hotQuestions(world.size));
      const requests = hotRequests(world, freshness);
      const pairs = await interleave(
        stage,
        name,
        (seconds) => load(stage.generator, service, { connections, seconds, requests }),
        (seconds) => load(stage.generator, limit, { connections, seconds, requests }),
      );
      await Promise.all([service.stop(), limit.stop()]);
      const what = `/authorize ${freshness}, warm, ${connections} connections`;
      return [{ case: name, what, against: bare, bound, ...ratioOf(pairs) }];
    },
  };
}

/** More than any run can ask, in a second. */
const mostQuestionsPerSecond = 20_000;

/** Users nobody has asked about before, in an order that no page of a table follows. */
function cold(): Case {
  const name = 'authorize-cold';
  return {
    name,
    async measure(stage) {
      const world = await stage.world();
      const service = await stage.serve(world);
      const limit = await stage.limitServer('limits/select.js', world.databaseUrl);
      const { users } = world.size;
      let asked = 0;
      const nextRequests = (seconds: number) =>
        Array.from({ length: Math.min(seconds * mostQuestionsPerSecond, users) }, () => {
          asked += 1;
          const question = questionOf((asked * 381_917) % users, asked, world.size);
          return authorizeRequest(world.askingKey, question, 'latest');
        });
      let requests = nextRequests(1);
      const run = { connections: 64, repeat: false };
      const pairs = await interleave(
        stage,
        name,
        (seconds) => {
          requests = nextRequests(seconds);
          return load(stage.generator, service, { ...run, seconds, requests });
        },
        (seconds) => load(stage.generator, limit, { ...run, seconds, requests }),
      );
      await Promise.all([service.stop(), limit.stop()]);
      const what = `/authorize latest, cold, uniform over ${users.toLocaleString('en')} users, 64 connections`;
      const against = 'Fastify route with one prepared single-row SELECT';
      return [{ case: name, what, against, bound: atLeast(0.8, 1.5), ...ratioOf(pairs) }];
    },
  };
}
