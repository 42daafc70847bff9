import { spareRole } from '../data.ts';
import { atLeast, ratioOf } from '../figures.ts';
import { makeLiftable } from '../liftable.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import type { Server } from '../processes.ts';
import { request } from '../requests.ts';
import { type Contender, interleave, type Run } from '../rounds.ts';
import type { Stage, World } from '../stage.ts';

const callers = 16;
/** More than any run can make, in a second. */
const mostGrantsPerSecond = 2_500;

/** Grants one role to one user after another, until somebody else has had it: each run goes on where the last one ended. */
function granting({ generator }: Stage, service: Server, { administratorKey }: World): Contender {
  let granted = 0;
  const nextRequests = (seconds: number) =>
    Array.from({ length: Math.ceil(seconds * mostGrantsPerSecond) }, () => {
      granted += 1;
      return request('PUT', `/users/u${granted}/roles/${spareRole}`, administratorKey, {});
    });
  return (seconds) => {
    const requests = nextRequests(seconds);
    return load(generator, service, { connections: callers, seconds, requests, repeat: false, expect: 201 });
  };
}

const worldOf = (stage: Stage) => {
  const { roles, permissions } = stage.usualSize;
  return stage.world({ users: stage.options.quick ? 50_000 : 200_000, roles, permissions });
};

/** Granting one role to one user at a time. What it is measured against works on a copy: raw SQL proves nothing by its journal. */
export const grantCases: readonly Case[] = [
  {
    name: 'grants',
    async measure(stage) {
      const world = await worldOf(stage);
      const copy = await stage.copy(world);
      const raw = await stage.measuredWorker('limits/grants.js', copy.databaseUrl, String(callers));
      const own = await stage.copy(world);
      const service = await stage.serve(own);
      const pairs = await interleave(stage, 'grants', granting(stage, service, own), (seconds) =>
        raw.ask<Run>({ seconds }),
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
  {
    name: 'grants-guard',
    async measure(stage) {
      const own = await stage.copy(await worldOf(stage));
      const liftable = await makeLiftable();
      try {
        const service = await stage.serve(own, liftable.program);
        const grant = granting(stage, service, own);
        let stands = true;
        // One process takes both turns: two of the same program differ by more than the guard costs.
        const whileGuard =
          (does: 'guard stands' | 'guard lifted'): Contender =>
          async (seconds) => {
            if (stands !== (does === 'guard stands')) await service.tell('SIGUSR2', does);
            stands = does === 'guard stands';
            return grant(seconds);
          };
        // The difference is a fraction of what two seconds of one machine differ by: more and shorter turns.
        const { rounds, seconds } = stage.options;
        const options = { ...stage.options, rounds: rounds * 6, seconds: seconds / 4 };
        const pairs = await interleave(
          { ...stage, options },
          'grants-guard',
          whileGuard('guard stands'),
          whileGuard('guard lifted'),
        );
        await service.stop();
        return [
          {
            case: 'grants-guard',
            what: `single grants, ${callers} callers, fsync on`,
            against: 'the same process while its guard is lifted',
            bound: atLeast(0.95, 0.98),
            ...ratioOf(pairs),
          },
        ];
      } finally {
        await liftable.remove();
      }
    },
  },
];
