import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from '../../src/domain/csv.ts';

test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '\n=1'])(
  'what a spreadsheet would take for a formula is text: %j',
  (text) => expect(csvLine([text])).toMatch(/^"?'/),
);

test.each([[['a', 1, null, '']] as const, [['a,b', 'say "no"', 'two\nlines']] as const])(
  'what is written is what a reader of RFC 4180 reads: %j',
  (cells) => {
    expect(parse(csvLine(cells))).toEqual(cells.map((cell) => (cell === null ? '' : String(cell))));
  },
);

test('no cell of a string begins a formula, and every cell comes back but for the apostrophe', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (cells) => {
      const read = parse(csvLine(cells));
      expect(read.map((cell, index) => (cell === `'${cells[index]}` ? cells[index] : cell))).toEqual(cells);
      for (const cell of read) expect(cell).not.toMatch(/^\s*[=+\-@]/);
    }),
  );
});

/** One line of RFC 4180. */
function parse(line: string): string[] {
  const cells: string[] = [];
  let rest = line.slice(0, -2);
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"(,|$)/.exec(rest);
    const plain = /^([^",]*)(,|$)/.exec(rest);
    const [whole = '', text = '', end = ''] = quoted ?? plain ?? [];
    cells.push(quoted ? text.replaceAll('""', '"') : text);
    if (end === '') return cells;
    rest = rest.slice(whole.length);
  }
}
