import { type Figure, verdictOf } from './figures.ts';
import { median } from './rounds.ts';

const headings = ['case', 'what', 'against', 'min', 'median', 'max', 'must', 'aim', ''] as const;

/** The figures as a table for people, in Markdown, which a terminal shows well too. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = [headings, ...figures.map(rowOf)];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0), 3));
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(headings), line(widths.map((width) => '-'.repeat(width))), ...rows.slice(1).map(line)].join(
    '\n',
  );
}

function rowOf(figure: Figure): string[] {
  const { values, unit, bound } = figure;
  const shown = (value: number) => `${showNumber(value)}${unit === 'x' ? '' : ` ${unit}`}`;
  const limit = (value: number) =>
    bound?.direction === 'atMost' ? `<= ${shown(value)}` : `>= ${shown(value)}`;
  return [
    figure.case,
    figure.what,
    figure.against,
    ...[Math.min(...values), median(values), Math.max(...values)].map(shown),
    ...(bound ? [limit(bound.must), limit(bound.aim)] : ['', '']),
    verdictOf(figure),
  ];
}

function showNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 1 : 2);
}

/** What each figure was made from. */
export function notesOf(figures: readonly Figure[]): string {
  return figures.map((figure) => `- ${figure.case}: ${figure.note}`).join('\n');
}

/** `bench/RESULTS.md`. */
export function resultsFile(figures: readonly Figure[], host: readonly string[], command: string): string {
  return `# What it costs

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}. Figures are ratios of runs that took turns on
one machine; absolute numbers say something about that machine only. What each case measures is in
[README.md](README.md).

${host.map((line) => `- ${line}`).join('\n')}

${tableOf(figures)}

## Where the ratios come from

${notesOf(figures)}
`;
}
