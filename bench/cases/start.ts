import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost } from '../figures.ts';
import type { Case } from '../main.ts';
import { median } from '../rounds.ts';

/** From the command to the first 200 of `/readyz`. */
export const startCases: readonly Case[] = [
  {
    name: 'start',
    async measure(stage) {
      const world = await stage.world();
      const seconds: number[] = [];
      for (let round = 1; round <= stage.options.repeats; round += 1) {
        const startedAt = performance.now();
        const service = await stage.serve(world);
        while ((await fetch(`${service.url}/readyz`)).status !== 200) await sleep(2);
        seconds.push((performance.now() - startedAt) / 1_000);
        await service.stop();
        stage.say(`start: round ${round}: ${seconds.at(-1)?.toFixed(2)} s`);
      }
      return [
        {
          case: 'start',
          what: `start to ready with ${world.size.users.toLocaleString('en')} users`,
          against: '',
          unit: 's',
          values: seconds,
          bound: atMost(3, 1),
          note: `process started to first 200 of /readyz, ${median(seconds).toFixed(2)} s`,
        },
      ];
    },
  },
];
