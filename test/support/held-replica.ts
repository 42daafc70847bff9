import { at, barrierBuild, places } from './barriers.ts';
import { type Breakage, withBrokenBuild } from './broken-build.ts';
import { buildOf, type Replica, type ReplicaOptions, startReplica, startReplicas } from './replicas.ts';
import { buildVault } from './vault.ts';

/** A sound replica that writes, and one of a build that can be held, broken or not, that is asked. */
export async function withHeldReplica<Result>(
  breakage: Breakage | readonly Breakage[],
  work: (writer: Replica, asked: Replica) => Promise<Result>,
  options: ReplicaOptions = {},
): Promise<Result> {
  return withBrokenBuild([...barrierBuild, ...[breakage].flat()], async (load) => {
    const { replicas, database, adminKey, close } = await startReplicas(1);
    const [writer] = replicas as readonly [Replica];
    await buildVault(writer, ['ann', 'bob']);
    // A read that is held is overtaken by others, on connections of their own.
    const variables = { ROLECALL_POOL_SIZE: '3', ...options.variables };
    const build = await buildOf(load);
    const asked = await startReplica(database.url, adminKey, { ...options, variables, build });
    try {
      return await work(writer, asked);
    } finally {
      for (const place of places) at(place, undefined);
      await asked.close();
      await close();
    }
  });
}
