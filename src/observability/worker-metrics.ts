import cluster from 'node:cluster';
import { AggregatorRegistry, type Registry } from 'prom-client';

/** How a worker asks for the numbers of all, and how it is answered. */
interface Message {
  readonly type: 'rolecall metrics';
  readonly id: number;
  /** Of an answer; left out where not all workers said theirs. */
  readonly text?: string;
}

const type = 'rolecall metrics' as const;
let asked = 0;

/** Lets this worker's numbers be added to those of the others. */
export function shareWorkerMetrics(registries: Registry[]): void {
  new AggregatorRegistry();
  AggregatorRegistry.setRegistries(registries);
}

/**
 * In a worker: the numbers of all workers, as the process above them adds them up. Rejects if one of them does not say its
 * own in time: without those, alerts would take silence for health.
 */
export function textOfAllWorkers(withinMs: number): Promise<string> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const end = (text?: string) => {
      clearTimeout(longest);
      process.off('message', take);
      if (text === undefined) reject(new Error('not all workers said what they counted'));
      else resolve(text);
    };
    const take = (message: Message) => {
      if (message.type === type && message.id === id) end(message.text);
    };
    const longest = setTimeout(end, withinMs).unref();
    process.on('message', take);
    process.send?.({ type, id } satisfies Message);
  });
}

/** In the process above the workers: adds up their numbers for whichever of them is asked. */
export function answerWorkers(): void {
  const aggregator = new AggregatorRegistry();
  cluster.on('message', async (worker, message: Message) => {
    if (message.type !== type) return;
    const said = await aggregator.clusterMetrics().then(
      (text) => ({ text }),
      () => ({}),
    );
    if (worker.isConnected()) worker.send({ type, id: message.id, ...said } satisfies Message);
  });
}
