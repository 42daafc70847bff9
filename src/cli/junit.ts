import type { Outcome } from '../domain/matrix/expectations/check.ts';
import { reasonsOf, sentenceOf } from './expectation-report.ts';

/** The outcomes of each file as JUnit XML, which every CI reads: a suite for each file, a case for each expectation. */
export function junitOf(files: ReadonlyMap<string, readonly Outcome[]>): string {
  const all = [...files.values()].flat();
  const suites = [...files].map(
    ([name, outcomes]) =>
      `  <testsuite ${attributes({ name, ...counts(outcomes) })}>\n${outcomes.map((one) => caseOf(name, one)).join('')}  </testsuite>\n`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${attributes({ name: 'rolecall matrix test', ...counts(all) })}>\n${suites.join('')}</testsuites>\n`;
}

function caseOf(file: string, { expectation, explanation }: Outcome): string {
  const named = attributes({ classname: file, name: sentenceOf(expectation), file: expectation.place });
  if (explanation === null) return `    <testcase ${named}/>\n`;
  const reasons = reasonsOf(explanation);
  const failure = attributes({ message: reasons[0] ?? '' });
  return `    <testcase ${named}>\n      <failure ${failure}>${escaped([expectation.place, ...reasons].join('\n'))}</failure>\n    </testcase>\n`;
}

function counts(outcomes: readonly Outcome[]) {
  const failures = outcomes.filter(({ explanation }) => explanation !== null).length;
  return { tests: outcomes.length, failures };
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(String(value)).replaceAll('\n', '&#10;')}"`)
    .join(' ');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (sign) => entities[sign] ?? sign);
}
