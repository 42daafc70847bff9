import { spareRole } from '../data.ts';
import { atLeast, ratioOf } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { request } from '../requests.ts';
import { interleave, type Run } from '../rounds.ts';

const callers = 16;
/** More than any run can make, in a second. */
const mostGrantsPerSecond = 4_000;

/** Granting one role to one user at a time. Raw SQL works on a copy, for its journal proves nothing. */
export const grantCases: readonly Case[] = [
  {
    name: 'grants',
    async measure(stage) {
      const { roles, permissions } = stage.usualSize;
      const world = await stage.world({ users: stage.options.quick ? 50_000 : 200_000, roles, permissions });
      const { databaseUrl } = await stage.copy(world);
      const service = await stage.serve(world);
      const raw = await stage.measuredWorker('limits/grants.js', databaseUrl, String(callers));
      let granted = 0;
      const nextRequests = (seconds: number) =>
        Array.from({ length: seconds * mostGrantsPerSecond }, () => {
          granted += 1;
          return request('PUT', `/users/u${granted}/roles/${spareRole}`, world.administratorKey, {});
        });
      const pairs = await interleave(
        stage,
        'grants',
        (seconds) => {
          const requests = nextRequests(seconds);
          return load(stage.generator, service, {
            connections: callers,
            seconds,
            requests,
            repeat: false,
            expect: 201,
          });
        },
        (seconds) => raw.ask<Run>({ seconds }),
      );
      await Promise.all([service.stop(), raw.stop()]);
      return [
        {
          case: 'grants',
          what: `single grants, ${callers} callers, fsync on`,
          against: 'one raw statement writing the same rows and the revision row',
          bound: atLeast(0.5, 0.8),
          ...ratioOf(pairs),
        },
      ];
    },
  },
];
