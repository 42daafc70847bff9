import type { Plan } from '../../storage/migrations/plan.ts';
import type { Verification } from '../../storage/migrations/verify.ts';
import { count, table } from '../output.ts';

const widestStatement = 60;

/** The statements of a plan with what they do to tables in use. */
export function planTable({ steps }: Plan): string {
  if (steps.length === 0) return 'Nothing to do: the database is up to date.';
  const rows = steps.flatMap(({ name, inTransaction, restores, statements }) => [
    ...statements.map(({ line, text, table: on, lock, warning }) => [
      name,
      String(line),
      shorten(text),
      lock === 'none' ? '-' : `${lock} on ${on}`,
      [inTransaction ? '' : 'outside a transaction', warning ?? ''].filter(Boolean).join('; ') || '-',
    ]),
    ...(restores ? [[name, '-', 'rows come back from rolecall_archive', '-', '-']] : []),
  ]);
  const warned = steps.flatMap(({ statements }) =>
    statements.filter(({ warning }) => warning !== null),
  ).length;
  return [
    table(['step', 'line', 'statement', 'lock', 'warning'], rows),
    '',
    `${count(steps.length, 'step')} pending, ${count(warned, 'warning')}: rolecall migrate up`,
  ].join('\n');
}

/** What is not as it should be, by object and step, or that nothing is. */
export function verificationText({ head, drift, breaches, unrecorded, pending }: Verification): string {
  const sections = [
    drift.length > 0
      ? table(
          ['object', 'is', 'step', 'expected', 'found'],
          drift.map(({ object, fault, step, expected, found }) => [
            object,
            fault,
            step ?? '-',
            expected || '-',
            found || '-',
          ]),
        )
      : '',
    ...(breaches ?? ['The rows were not looked at, because tables or columns are not as they should be.']),
    ...unrecorded.map((name) => `${name} is not in the journal yet: rolecall migrate up`),
    pending.length > 0 ? `${count(pending.length, 'step')} pending: rolecall migrate up` : '',
  ].filter(Boolean);
  const whole = drift.length === 0 && breaches?.length === 0 && unrecorded.length === 0;
  const verdict = head === null ? 'No step has run.' : `The database is as ${head} promises.`;
  return [...sections, ...(whole ? [verdict] : [])].join('\n');
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > widestStatement ? `${line.slice(0, widestStatement - 1)}…` : line;
}
