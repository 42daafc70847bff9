import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Clone, cloneSources } from '../support/clone.ts';
import { type Program, start } from '../support/program.ts';

let clone: Clone;
let program: Program | undefined;

beforeAll(async () => {
  clone = await cloneSources();
  await clone.exec('npm', ['ci', '--prefer-offline', '--no-audit']);
});

afterAll(async () => {
  if (program?.child.pid) kill(program, 'SIGKILL');
  await clone.remove();
});

/** Starts the second half of README's first command, in a process group of its own. */
async function dev(environment: Readonly<Record<string, string>> = {}): Promise<Program> {
  const { PATH, HOME } = process.env;
  program = start(
    ['run', 'dev'],
    { PATH, HOME, PORT: '0', ...environment },
    { command: 'npm', cwd: clone.folder },
  );
  return program;
}

function kill({ child }: Program, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid as number), signal);
  } catch {
    // The group is gone already.
  }
}

/** Runs what was printed as a person would paste it. */
async function paste(command: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)('bash', ['-c', command]);
  return JSON.parse(stdout);
}

test('a stranger runs one command, pastes the curl it prints, and gets the answer that README shows', async () => {
  const first = await dev();
  const [ready] = await first.prints(/Ready in [\d.]+ s\n/);
  const { stdout } = first.output();
  expect(stdout.endsWith(ready)).toBe(true);

  const [curl] = /^ *curl .*$/m.exec(stdout) ?? [];
  const answer = (await paste(curl as string)) as { revision: string; permissions: string[] };
  const readme = await readFile(join(clone.folder, 'README.md'), 'utf8');
  const [, shown] = /```json\n([\s\S]*?)```/.exec(readme) ?? [];
  expect({ ...answer, revision: '' }).toEqual({ ...JSON.parse(shown as string), revision: '' });
  expect(answer.permissions).toEqual(
    expect.arrayContaining(['adminpanel_view_dashboard', 'customers_change_customer']),
  );

  for (const secret of ['admin-key', 'journal-key', 'env'])
    expect((await stat(join(clone.folder, '.rolecall', secret))).mode & 0o077).toBe(0);

  // What stands survives the hardest stop, and the key stays the same.
  kill(first, 'SIGKILL');
  await first.ended();
  const second = await dev();
  await second.prints(/Ready in/);
  const [again] = /^ *curl .*$/m.exec(second.output().stdout) ?? [];
  expect(await paste(again as string)).toEqual(answer);

  // Any other command works in the clone, on the database that dev made.
  const environment = await readFile(join(clone.folder, '.rolecall', 'env'), 'utf8');
  const variables = Object.fromEntries(
    environment
      .trim()
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
  expect(await clone.exec('npx', ['rolecall', 'migrate', 'status'], variables)).toContain(
    '0000_create_rolecall',
  );

  kill(second, 'SIGTERM');
  await second.ended();
});

test('the image has what the Dockerfile says: it builds, and serves without what is left out', async () => {
  const dockerfile = await readFile(join(clone.folder, 'Dockerfile'), 'utf8');
  const commands = [...dockerfile.matchAll(/^RUN (.*)$/gm)].map(([, command]) => command as string);
  expect(commands).toEqual(['npm ci', 'npm run build', 'npm ci --omit=dev --omit=optional']);
  for (const command of commands.slice(1)) await clone.exec('bash', ['-c', command]);

  const [, entry] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? [];
  const words = [...(JSON.parse(entry as string) as string[]), '--version'];
  const { version } = JSON.parse(await readFile(join(clone.folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect((await clone.exec(words[0] as string, words.slice(1))).trim()).toBe(version);
});
