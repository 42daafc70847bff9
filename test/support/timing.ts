/** What is said of how long calls took that are to take as long as each other. */
export interface Spread {
  readonly mean: number;
  readonly median: number;
  readonly variance: number;
  readonly count: number;
}

/** Of nanoseconds by what was called, the slowest tenth of all, which others cause, left out. */
export function spreadsOf<Name extends string>(
  nanoseconds: Readonly<Record<Name, readonly number[]>>,
): Readonly<Record<Name, Spread>> {
  const measured = Object.entries(nanoseconds) as [Name, readonly number[]][];
  const all = measured.flatMap(([, values]) => values).sort((a, b) => a - b);
  const crop = all[Math.floor(all.length * 0.9)] as number;
  const spreads = measured.map(([name, values]) => [name, spreadOf(values.filter((value) => value <= crop))]);
  return Object.fromEntries(spreads) as Record<Name, Spread>;
}

function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const median = values.toSorted((a, b) => a - b)[values.length >> 1] as number;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, median, variance, count: values.length };
}

/** Welch's t: beyond 4.5 the two are not the same. */
export function welch(one: Spread, other: Spread): number {
  const error = Math.sqrt(one.variance / one.count + other.variance / other.count);
  return Math.abs(one.mean - other.mean) / error;
}
