import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { variables } from '../../src/config/env.ts';
import { errorCodes, RolecallError } from '../../src/domain/errors.ts';
import { problemOf } from '../../src/http/problem.ts';

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test("README's table of variables says what the schema reads", async () => {
  const rows = variables.map(
    ({ name, meaning, default: otherwise, secret }) =>
      `| \`${name}\` | ${meaning}${secret ? ' (secret)' : ''} | ${otherwise || 'none'} |`,
  );
  const table = (await read('README.md')).split('\n').filter((line) => /^\| `[A-Z_]+` \|/.test(line));
  expect(table).toEqual(rows);
});

test('docs/errors.md has one section for each error code, with the status that goes out', async () => {
  const sections = [...(await read('docs/errors.md')).matchAll(/^## (\w+)\n\n\*\*(\d{3})\.\*\*/gm)];
  expect(sections.map(([, code, status]) => `${code} ${status}`)).toEqual(
    errorCodes.map((code) => `${code} ${problemOf(new RolecallError(code, ''), '').status}`),
  );
});
