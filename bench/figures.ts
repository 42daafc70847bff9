import { describeRun, median, type Pair } from './rounds.ts';

/** One line of the results. */
export interface Figure {
  readonly case: string;
  readonly what: string;
  readonly against: string;
  readonly unit: 'x' | 'MB' | 's';
  /** One for each round. */
  readonly values: readonly number[];
  readonly bound?: Bound;
  /** What the values were made from. */
  readonly note: string;
}

/** What the figure must reach and should reach: from below with `atLeast`, else no more than that. */
export interface Bound {
  readonly direction: 'atLeast' | 'atMost';
  readonly must: number;
  readonly aim: number;
}

export const atLeast = (must: number, aim: number): Bound => ({ direction: 'atLeast', must, aim });
export const atMost = (must: number, aim: number): Bound => ({ direction: 'atMost', must, aim });

/** The ratio of rates in each round, with the ratio of processor time beside it: that one a busy machine disturbs less. */
export function ratioOf(pairs: readonly Pair[]): Pick<Figure, 'unit' | 'values' | 'note'> {
  const typical = (contender: keyof Pair) => describeRun(medianRun(pairs, contender));
  const cpu = pairs.flatMap(({ subject, limit }) =>
    subject.cpuMicros && limit.cpuMicros ? [limit.cpuMicros / subject.cpuMicros] : [],
  );
  const cpuNote = cpu.length > 0 ? `; by processor time ${median(cpu).toFixed(2)}` : '';
  return {
    unit: 'x',
    values: pairs.map(({ subject, limit }) => subject.rate / limit.rate),
    note: `${typical('subject')} against ${typical('limit')}${cpuNote}`,
  };
}

function medianRun(pairs: readonly Pair[], contender: keyof Pair) {
  const of = (member: 'rate' | 'cpuMicros' | 'busy') =>
    median(pairs.flatMap((pair) => pair[contender][member] ?? []));
  return {
    rate: of('rate'),
    ...(Number.isNaN(of('busy')) ? {} : { cpuMicros: of('cpuMicros'), busy: of('busy') }),
  };
}

export function verdictOf({ values, bound }: Figure): string {
  if (!bound) return '';
  const reaches = (target: number) =>
    bound.direction === 'atLeast' ? median(values) >= target : median(values) <= target;
  if (reaches(bound.aim)) return 'aim reached';
  return reaches(bound.must) ? 'reached' : 'MISSED';
}
