import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
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

describe('what is promised', () => {
  const testsIn = (text: string) => [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path as string);

  async function promisesOf(path: string, form: RegExp): Promise<readonly string[]> {
    const [promised = ''] = (await read(path)).split(/^(?:## What is|What it does) not promise/m);
    const promises = promised.match(form) ?? [];
    expect(promises.length).toBeGreaterThan(10);
    return promises;
  }

  test.each([
    ['SECURITY.md', /^- .*(?:\n {2}.*)*$/gm],
    ['docs/threat-model.md', /^\| (?!promised).*\|$/gm],
  ] as const)('in %s is shown by tests that are there', async (path, form) => {
    for (const promise of await promisesOf(path, form)) {
      const named = testsIn(promise);
      expect(named, promise).not.toEqual([]);
      for (const test of named) expect((await read(test)).length, promise).toBeGreaterThan(0);
    }
  });
});
