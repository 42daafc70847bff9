import cluster from 'node:cluster';
import { AggregatorRegistry, type Registry } from 'prom-client';

/** How a worker asks for the numbers of all, and how it is answered. */
interface Message {
  readonly type: 'rolecall metrics';
  readonly id: number;
  readonly text?: string;
}

const type = 'rolecall metrics' as const;
let asked = 0;

/** Lets this worker's numbers be added to those of the others. */
export function shareWorkerMetrics(registries: Registry[]): void {
  new AggregatorRegistry();
  AggregatorRegistry.setRegistries(registries);
}

/** In a worker: the numbers of all workers, as the process above them adds them up. */
export function textOfAllWorkers(): Promise<string> {
  const id = ++asked;
  return new Promise((resolve) => {
    const take = (message: Message) => {
      if (message.type !== type || message.id !== id) return;
      process.off('message', take);
      resolve(message.text ?? '');
    };
    process.on('message', take);
    process.send?.({ type, id } satisfies Message);
  });
}

/** In the process above the workers: adds up their numbers for whichever of them is asked. */
export function answerWorkers(): void {
  const aggregator = new AggregatorRegistry();
  cluster.on('message', async (worker, message: Message) => {
    if (message.type !== type) return;
    const text = await aggregator.clusterMetrics().catch(() => '');
    if (worker.isConnected()) worker.send({ type, id: message.id, text } satisfies Message);
  });
}
