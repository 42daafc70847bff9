import type { Server, Worker } from './processes.ts';
import type { Run } from './rounds.ts';

/** What the generator is told. Requests are whole, as they go over the wire. */
export interface Job {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly requests: readonly string[];
  /** Whether to begin again when all requests were sent; otherwise the run ends then. */
  readonly repeat: boolean;
  /** The status every answer must have. */
  readonly expect: number;
}

/** What the generator says. Latencies are milliseconds. */
export interface JobResult {
  readonly answers: number;
  readonly elapsedMs: number;
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
  readonly failures: readonly string[];
}

/** One run of load on a server. Throws if a single answer was not the one expected. */
export async function load(
  generator: Worker,
  server: Server,
  job: Omit<Job, 'url' | 'repeat' | 'expect'> & Partial<Job>,
): Promise<Run> {
  const before = server.cpuMs();
  const order: Job = { url: server.url, repeat: true, expect: 200, ...job };
  const result = await generator.ask<JobResult>(order);
  const after = server.cpuMs();
  const { answers, elapsedMs, p50, p99, failed } = result;
  if (failed > 0 || answers === 0)
    throw new Error(
      `${failed} of ${answers + failed} answers were not ${order.expect}; the first:\n${result.failures.join('\n\n')}`,
    );
  const cpu = before === undefined || after === undefined ? undefined : after - before;
  return {
    rate: (answers * 1_000) / elapsedMs,
    p50,
    p99,
    ...(cpu === undefined ? {} : { cpuMicros: (cpu * 1_000) / answers, busy: cpu / elapsedMs }),
  };
}
