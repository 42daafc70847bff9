import { expect, it } from 'vitest';
import { readSources } from './import-graph.ts';

/** Where SQL is put together of names, and why nobody's input can be among them. */
const allowed: Readonly<Record<string, string>> = {
  'storage/development.ts': 'a constant',
  'storage/diagnosis/orphans.ts': 'tables and columns as the catalog quotes them',
  'storage/diagnosis/sequences.ts': 'tables and columns as the catalog quotes them',
  'storage/migrations/archive.ts': 'types as the catalog names them',
  'storage/migrations/table-shapes.ts': 'sequences as the catalog names them',
  'storage/migrations/concurrently.ts': 'indexes as the steps of this release name them',
  'storage/migrations/running.ts': 'the statements of the steps of this release',
  'storage/row-level/lint.ts': 'queries of ours, put in order',
  'storage/row-level/install.ts': 'the roles, tables and functions of this release',
  'storage/lane-connection.ts': 'COMMIT or ROLLBACK',
};

/** The first argument of a call that takes text for SQL, if it is anything but a literal. */
const composed = /\.(?:unsafe|raw|identifier)(?:<[^()]*>)?\(\s*(?!'[^']*'\s*[,)]|`[^`$]*`\s*[,)])/;

const composing = (text: string) => composed.test(text);

it('SQL is text of ours and parameters; it is put together nowhere but where no input can come (N-09)', () => {
  const sources = [...readSources()].filter(([, text]) => composing(text)).map(([file]) => file);
  expect(sources.map((file) => file.replace(/^.*src\//, '')).sort()).toEqual(Object.keys(allowed).sort());
});

it('a call with anything but a literal is seen', () => {
  for (const text of [
    'sql.unsafe(query)',
    'sql.raw(`a $' + '{b}`)',
    "sql.identifier('a' + b)",
    'x.unsafe(\n  y)',
    'x.unsafe<{ a: string }[]>(y)',
  ])
    expect(composing(text), text).toBe(true);
  for (const text of [
    "sql.unsafe('select 1')",
    'sql.raw(`a b`)',
    "sql.identifier('a', 'b')",
    'unsafe(query)',
  ])
    expect(composing(text), text).toBe(false);
});
