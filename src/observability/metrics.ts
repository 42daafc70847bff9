import cluster from 'node:cluster';
import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { shareWorkerMetrics, textOfAllWorkers } from './worker-metrics.ts';

/** A number with the labels it stands under. */
export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/**
 * What the running service counts, in Prometheus' text format. Whoever counts keeps plain numbers, which are read only
 * when somebody asks: the hot path must not pay for it.
 */
export interface Metrics {
  /** A number that goes up and down; `aggregator` says what several workers come to. */
  gauge(name: string, help: string, read: () => number, aggregator?: Aggregator): void;
  /** Numbers that only go up. */
  counter(name: string, help: string, read: () => readonly Sample[]): void;
  /** How values are spread. Returns what notes one. */
  histogram(name: string, help: string, buckets: readonly number[]): (value: number) => void;
  /**
   * Of this process, or of all workers together if it is one of several: rejects if one of them does not say its own within so
   * many milliseconds.
   */
  text(withinMs?: number): Promise<string>;
}

const usualMs = 2_000;

export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE;

export function openMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const all = [metricsOfProcess(), registry];
  if (cluster.isWorker) shareWorkerMetrics(all);
  return {
    gauge(name, help, read, aggregator = 'sum') {
      new Gauge({
        name,
        aggregator,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    counter(name, help, read) {
      const [first] = read();
      new Counter({
        name,
        help,
        registers,
        labelNames: Object.keys(first?.[0] ?? {}),
        collect() {
          this.reset();
          for (const [labels, value] of read()) this.inc(labels, value);
        },
      });
    },
    histogram(name, help, buckets) {
      const histogram = new Histogram({ name, help, registers, buckets: [...buckets] });
      return (value) => histogram.observe(value);
    },
    text: (withinMs = usualMs) => (cluster.isWorker ? textOfAllWorkers(withinMs) : textOf(all)),
  };
}

let ofProcess: Registry | undefined;

/** Memory, handles, the event loop: of the process, however many services it opens. What watches them is never undone. */
function metricsOfProcess(): Registry {
  if (ofProcess) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  return ofProcess;
}

async function textOf(registries: readonly Registry[]): Promise<string> {
  return (await Promise.all(registries.map((registry) => registry.metrics()))).join('');
}
