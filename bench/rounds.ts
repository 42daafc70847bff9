import type { Stage } from './stage.ts';

/** What one run of one contender came to. */
export interface Run {
  /** Per second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
  /** Processor time of the measured process for each, in microseconds. */
  readonly cpuMicros?: number;
  /** Share of its core that the measured process used: well under 1 means that something else was the limit. */
  readonly busy?: number;
}

export type Contender = (seconds: number) => Promise<Run>;

export interface Pair {
  readonly subject: Run;
  readonly limit: Run;
}

/** Warms both up, then runs them in turn, so that what else the machine does meets both. */
export async function interleave(
  { options, say }: Stage,
  name: string,
  subject: Contender,
  limit: Contender,
): Promise<readonly Pair[]> {
  say(`${name}: warming up`);
  await subject(options.warmUpSeconds);
  await limit(options.warmUpSeconds);
  const pairs: Pair[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    // Whoever comes second finds caches and disk as the other left them: they take turns at that too.
    const isFirst = round % 2 === 1;
    const early = await (isFirst ? subject : limit)(options.seconds);
    const late = await (isFirst ? limit : subject)(options.seconds);
    const pair = isFirst ? { subject: early, limit: late } : { subject: late, limit: early };
    say(`${name}: round ${round}: ${describeRun(pair.subject)} | ${describeRun(pair.limit)}`);
    pairs.push(pair);
  }
  return pairs;
}

export function describeRun({ rate, cpuMicros, busy }: Run): string {
  const perSecond = `${Math.round(rate).toLocaleString('en')}/s`;
  if (cpuMicros === undefined || busy === undefined) return perSecond;
  return `${perSecond}, ${cpuMicros.toFixed(1)} us each, core ${Math.round(busy * 100)} % busy`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
