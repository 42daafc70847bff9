import { atLeast, ratioOf } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { request } from '../requests.ts';
import { interleave } from '../rounds.ts';

const listedUsers = 200;

export const permissionCases: readonly Case[] = [
  list('permissions-200', 'GET permissions, the whole list', 200),
  list('permissions-304', 'GET permissions, 304', 304),
];

function list(name: string, what: string, expect: 200 | 304): Case {
  return {
    name,
    async measure(stage) {
      const world = await stage.world();
      const service = await stage.serve(world);
      const limit = await stage.limitServer('limits/fastify.js');
      const paths = Array.from({ length: listedUsers }, (_, n) => `/users/u${n}/permissions`);
      const requests: string[] = [];
      for (const path of paths) {
        const tag = await tagOf(`${service.url}${path}`, world.askingKey);
        const condition = expect === 304 ? `if-none-match: ${tag}\r\n` : '';
        requests.push(request('GET', path, world.askingKey, undefined, condition));
      }
      const run = { connections: 64, requests };
      const pairs = await interleave(
        stage,
        name,
        (seconds) => load(stage.generator, service, { ...run, seconds, expect }),
        (seconds) => load(stage.generator, limit, { ...run, seconds }),
      );
      await Promise.all([service.stop(), limit.stop()]);
      const bound = expect === 304 ? { bound: atLeast(0.75, 0.9) } : {};
      return [{ case: name, what, against: 'bare Fastify GET', ...bound, ...ratioOf(pairs) }];
    },
  };
}

async function tagOf(url: string, key: string): Promise<string> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
  const tag = answer.headers.get('etag');
  if (answer.status !== 200 || tag === null)
    throw new Error(`${url} answered ${answer.status} without an ETag`);
  return tag;
}
