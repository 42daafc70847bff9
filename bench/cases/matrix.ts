import { performance } from 'node:perf_hooks';
import { permissionAt, type Size, slugOf } from '../data.ts';
import { atMost } from '../figures.ts';
import type { Case } from '../main.ts';
import { median } from '../rounds.ts';

const plansPerRound = 5;

/** Planning a change that takes something from everybody, asked of the running service. */
export const matrixCases: readonly Case[] = [
  {
    name: 'matrix-plan',
    async measure(stage) {
      const size = { users: 10_000, roles: 100, permissions: 200 };
      const world = await stage.world(size);
      const service = await stage.serve(world);
      const body = JSON.stringify({ files: filesThatTake(size), accept: 'matrix' });
      const seconds: number[] = [];
      const busyMs: number[] = [];
      for (let round = 0; round <= stage.options.repeats; round += 1) {
        const startedAt = performance.now();
        const cpuBefore = service.cpuMs() ?? Number.NaN;
        for (let plan = 0; plan < plansPerRound; plan += 1) await planOnce();
        // The first round warms up.
        if (round > 0) seconds.push((performance.now() - startedAt) / 1_000 / plansPerRound);
        busyMs.push(((service.cpuMs() ?? Number.NaN) - cpuBefore) / plansPerRound);
        stage.say(`matrix-plan: round ${round}: ${seconds.at(-1)?.toFixed(3) ?? 'warm'} s`);
      }
      await service.stop();
      return [
        {
          case: 'matrix-plan',
          what: 'plan a change that concerns 10,000 users by 200 permissions',
          against: '',
          unit: 's',
          values: seconds,
          bound: atMost(1, 0.5),
          note: `each plan names 10,000 users who lose something, ${median(seconds).toFixed(2)} s, ${median(busyMs).toFixed(0)} ms of the service's processor`,
        },
      ];

      async function planOnce(): Promise<void> {
        const response = await fetch(`${service.url}/matrix/plan`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${world.administratorKey}`,
            'content-type': 'application/json',
          },
          body,
        });
        const { losses } = (await response.json()) as { losses?: readonly { user: string }[] };
        const losing = new Set(losses?.map(({ user }) => user)).size;
        if (losing < size.users) throw new Error(`${losing} users lose something, not ${size.users}`);
      }
    },
  },
];

/** A baseline that declares the data of the bench, and a layer that takes something from every role. */
function filesThatTake(size: Size) {
  const numbers = (length: number) => Array.from({ length }, (_, n) => n);
  const permissions = numbers(Math.ceil(size.permissions / 10)).map(
    (n) =>
      `  things${n}: { ${numbers(10)
        .map((action) => `act${action}: Act`)
        .join(', ')} }`,
  );
  const roles = numbers(size.roles).map((n) => `  bench-${n}: { name: Role ${n}, description: Acts }`);
  // A role includes those before it in its block of five: what one gives must be withheld from all of them.
  const taken = numbers(size.roles).map((n) => {
    const block = numbers(5).map((place) => n - (n % 5) + place);
    return `  bench-${n}: [${block.map((role) => slugOf(permissionAt(role, 0, size))).join(', ')}]`;
  });
  return [
    {
      name: 'baseline.yaml',
      text: ['version: 1', 'permissions:', ...permissions, 'roles:', ...roles, ''].join('\n'),
    },
    { name: 'layers/less.yaml', text: ['version: 1', 'id: less', 'withhold:', ...taken, ''].join('\n') },
  ];
}
