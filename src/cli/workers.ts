import cluster, { type Worker } from 'node:cluster';
import { setTimeout as pause } from 'node:timers/promises';
import { answerWorkers } from '../observability/worker-metrics.ts';
import { exitCodes } from './exit-codes.ts';

/** A worker that dies at once would otherwise be started as fast as the machine can. */
const restartDelayMs = 1_000;

/**
 * Runs this command in `count` processes that listen on the same ports, so many, each a replica of its own. One that dies is replaced;
 * one that cannot start at all stops everything. Resolves to the exit code when `stopped` did and all have finished.
 */
export async function runWorkers(
  count: number,
  ports: number,
  stopped: Promise<NodeJS.Signals>,
): Promise<number> {
  answerWorkers();
  let stopping = false;
  let code: number = exitCodes.done;
  const workers = new Set<Worker>();

  const stopAll = (signal: NodeJS.Signals) => {
    stopping = true;
    for (const worker of workers) worker.process.kill(signal);
  };

  return new Promise((resolve) => {
    const start = () => {
      const worker = cluster.fork();
      workers.add(worker);
      let listening = 0;
      worker.on('listening', () => {
        listening += 1;
      });
      worker.on('exit', async (exitCode) => {
        workers.delete(worker);
        if (!stopping && listening < ports) {
          code = exitCode || exitCodes.unusable;
          stopAll('SIGTERM');
        }
        if (stopping) {
          if (workers.size === 0) resolve(code);
          return;
        }
        await pause(restartDelayMs);
        if (!stopping) start();
        else if (workers.size === 0) resolve(code);
      });
    };
    for (let number = 0; number < count; number += 1) start();
    void stopped.then(stopAll);
  });
}
