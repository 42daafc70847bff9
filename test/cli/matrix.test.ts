import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await createWatchedDatabase();
  folder = await mkdtemp(join(tmpdir(), 'rolecall-matrix-'));
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

test('a typo is named with file, line and column and the nearest name, and nothing is written (0.5, 2.6)', async () => {
  const text = (await readFile(shippedBaseline, 'utf8')).replace(
    '- documents.view_document\n',
    '- documents.view_documnet\n',
  );
  const line = text.split('\n').findIndex((row) => row.includes('documents.view_documnet')) + 1;
  const column = (text.split('\n')[line - 1] ?? '').indexOf('documents') + 1;
  const file = join(folder, 'baseline.yaml');
  await writeFile(file, text);
  const { code, stdout, stderr } = await run(
    ['matrix', 'apply', '--file', file],
    environmentFor(database.url),
  );
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(
    `baseline.yaml:${line}:${column} unknown permission "documents.view_documnet", did you mean "documents.view_document"?`,
  );
  expect(await run(['matrix', 'apply'], environmentFor(database.url))).toMatchObject({
    code: 0,
    stdout: 'Nothing to do: the matrix is applied.\n',
  });
});

test.each([
  [
    'a file that is not there',
    ['matrix', 'apply', '--file', 'nowhere.yaml'],
    2,
    'cannot read nowhere.yaml: ENOENT',
  ],
  ['an option nobody knows', ['matrix', 'apply', '--fiel', 'x'], 1, 'did you mean --file'],
  ['a user id that is none', ['keys', 'create', '--user', '..'], 1, 'not "." or ".."'],
  [
    'a role that does not exist',
    ['keys', 'create', '--user', 'x', '--role', 'admn'],
    2,
    'did you mean admin?',
  ],
  ['a number of steps that is none', ['migrate', 'down', '0'], 1, '1 or more'],
  ['a command nobody knows', ['mirgate'], 1, 'did you mean migrate'],
])('%s is refused with a sentence and an exit code', async (_what, words, exitCode, sentence) => {
  const { code, stderr } = await run(words, environmentFor(database.url));
  expect(stderr.toLowerCase()).toContain(sentence.toLowerCase());
  expect(code).toBe(exitCode);
});

test('a database that cannot be reached is exit code 3, and its password stays secret', async () => {
  const environment = environmentFor('postgres://rolecall:canary@127.0.0.1:1/x');
  for (const words of [
    ['migrate', 'status'],
    ['matrix', 'apply'],
  ]) {
    const { code, stdout, stderr } = await run(words, environment);
    expect(code).toBe(3);
    expect(stdout + stderr).not.toContain('canary');
  }
});
