/** Whether the full counts are run. */
export const long = process.env['TEST_LONG'] !== undefined;

/** Says in a full run what came out, for whoever reports it. */
export function summarize(subject: string, figures: Readonly<Record<string, number | string>>): void {
  if (!long) return;
  const said = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`\n[summary] ${subject}: ${said.join(', ')}\n`);
}

/** The usual figures of a distribution of milliseconds. */
export function spread(values: readonly number[]): Readonly<Record<string, string>> {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.ceil(sorted.length * share) - 1] ?? 0).toFixed(1);
  return { p50: at(0.5), p99: at(0.99), 'p99.9': at(0.999), max: at(1) };
}

/** Whether a broken build is found out, by trying longer and longer: how soon it shows depends on the machine. */
export async function untilFound(shows: (times: number) => Promise<boolean>): Promise<boolean> {
  for (const times of [1, 4, 16, 64]) if (await shows(times)) return true;
  return false;
}
