import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run as runProgram } from '../support/program.ts';

/** Neither command may need a database, or anything else of the environment. */
const run = (...words: string[]) => runProgram(['matrix', ...words], { PATH: process.env['PATH'] });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rolecall-matrix-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('matrix validate', () => {
  const two = (other: string, more = '') => `version: 1
permissions:
  documents: { view_document: See a document }
  ${other}
roles: {}
${more}`;

  test('says that files are sound, and warns of permissions with nearly one name until somebody means both (2.7)', async () => {
    expect(await run('validate')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^The files are sound: 1 layer, \d+ permissions, \d+ roles\.$/m),
    });
    const nearly = 'adminpanel: { view_documents: See documents }';
    const twins = await run('validate', '--file', await write('twins.yaml', two(nearly)));
    expect(twins.code).toBe(0);
    expect(twins.stdout).toMatch(/^worth a look: .*adminpanel\.view_documents.*documents\.view_document/m);
    const meant = 'acknowledge: { adminpanel.view_documents: [documents.view_document] }\n';
    const silent = await run('validate', '--file', await write('meant.yaml', two(nearly, meant)));
    expect(silent.stdout).not.toContain('worth a look');
  });

  test('refuses two permissions with one slug, where the second stands (2.3)', async () => {
    const path = await write('colliding.yaml', two('documents_view: { document: See }'));
    const { code, stdout, stderr } = await run('validate', '--file', path);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('colliding.yaml:4:21 ');
    expect(stderr).toContain('share the slug "documents_view_document"');
  });
});

describe('matrix test', () => {
  test('holds the shipped baseline to the shipped tests, and says how much they cover', async () => {
    const { code, stdout, stderr } = await run('test');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^\d+ expectations about \d+ of \d+ cells of role x permission \(\d+ %\)\.$/m);
    expect(stdout).toMatch(/^loader: \d+ of \d+$/m);
  });

  test('shows only what is not met, where and why, and fails', async () => {
    const path = await write(
      'failing.yaml',
      `version: 1
tests:
  - user: <lars>
    roles: [manager@north]
    scope: north/1
    can: [orders.view_prices, orders.issue_refund]
    cannot: [orders.view_order]
`,
    );
    const junit = join(folder, 'junit.xml');
    const { code, stdout, stderr } = await run('test', path, '--junit', junit);
    expect(code).toBe(2);
    expect(stderr).toContain('2 of 3 expectations not met');
    expect(stdout).not.toContain('orders_view_prices');
    expect(
      stdout,
    ).toContain(`${path}:6:31 <lars> (manager@north) can orders_issue_refund in north/1: it is not so
  denied: not_granted
  would be allowed by the role accountant`);
    expect(
      stdout,
    ).toContain(`${path}:7:14 <lars> (manager@north) cannot orders_view_order in north/1: it is not so
  allowed: manager@north -> viewer, by baseline`);

    const xml = await readFile(junit, 'utf8');
    expect(xml).toContain('<testsuites name="rolecall matrix test" tests="3" failures="2">');
    expect(xml.match(/<testcase /g)).toHaveLength(3);
    expect(xml.match(/<failure message="/g)).toHaveLength(2);
    expect(xml).toContain('&lt;lars&gt; (manager@north) can orders_view_prices in north/1');
    expect(xml).not.toContain('<lars>');

    const json = await run('test', path, '--json');
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({ tests: 3, failures: [{ place: `${path}:6:31` }, {}] });
  });

  test('fails where there are no tests: nothing was shown', async () => {
    const empty = await mkdtemp(join(folder, 'empty-'));
    const none = await write('none.yaml', 'version: 1\ntests: []\n');
    for (const path of [empty, none]) {
      const { code, stderr } = await run('test', path);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: `rolecall: no tests in ${path}: nothing was shown\n`,
      });
    }
  });

  test('names the faults of every file, and what cannot be read', async () => {
    const one = await write(
      'one.yaml',
      'version: 1\ntests:\n  - { roles: [loadr], can: [orders.load_order] }\n',
    );
    const other = await write('other.yaml', 'version: 2\ntests: []\n');
    const { code, stderr } = await run('test', one, other);
    expect(code).toBe(2);
    expect(stderr).toContain(`${one}:3:15 unknown role "loadr", did you mean "loader"?`);
    expect(stderr).toContain(`${other}:1:10 "version" must be 1`);
    expect((await run('test', join(folder, 'nowhere'))).stderr).toContain('nowhere: ENOENT');
  });
});

describe('matrix codegen', () => {
  test('writes the same every time, and --check says whether it stands', async () => {
    const out = join(folder, 'permissions.ts');
    const absent = await run('codegen', '--out', out, '--check');
    expect(absent).toMatchObject({ code: 2, stdout: '' });
    expect(absent.stderr).toContain('is not there: rolecall matrix codegen --out');

    expect(await run('codegen', '--out', out)).toMatchObject({ code: 0, stderr: '' });
    const text = await readFile(out, 'utf8');
    expect(text).toContain("  'orders_load_order',\n");
    expect(await run('codegen', '--out', out, '--check')).toMatchObject({ code: 0, stderr: '' });
    await run('codegen', '--out', out);
    expect(await readFile(out, 'utf8')).toBe(text);

    await writeFile(out, `${text}// by hand\n`);
    const edited = await run('codegen', '--out', out, '--check');
    expect(edited).toMatchObject({ code: 2, stdout: '' });
    expect(edited.stderr).toContain('is not what the matrix says');
    expect(await readFile(out, 'utf8')).toBe(`${text}// by hand\n`);
  });
});
