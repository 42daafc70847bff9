import { expect, it } from 'vitest';
import { readSources } from './import-graph.ts';

const longestFile = 300;
const medianBelow = 100;

function lines(text: string): number {
  return text.replace(/\n$/, '').split('\n').length;
}

const sizes = [...readSources()].map(([file, text]) => ({ file, lines: lines(text) }));

it('no source file is longer than 300 lines', () => {
  expect(sizes.filter((size) => size.lines > longestFile)).toEqual([]);
});

it('the median source file is under 100 lines', () => {
  const sorted = sizes.map((size) => size.lines).sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
  expect(sizes.length).toBeGreaterThan(0);
  expect(median).toBeLessThan(medianBelow);
});

it('lines are counted as an editor counts them', () => {
  expect([lines('a'), lines('a\n'), lines('a\nb'), lines('a\n\n')]).toEqual([1, 1, 2, 2]);
});
