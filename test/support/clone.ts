import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from './build.ts';

const exec = promisify(execFile);

export interface Clone {
  readonly folder: string;
  /** Runs a command in the clone. Rejects if it fails. */
  exec(command: string, words: readonly string[], environment?: NodeJS.ProcessEnv): Promise<string>;
  remove(): Promise<void>;
}

/** The files that a fresh clone of these sources would have, committed or not yet, in a folder of their own. */
export async function cloneSources(): Promise<Clone> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-clone-'));
  const { stdout } = await exec('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: projectRoot,
    maxBuffer: 2 ** 26,
  });
  for (const file of stdout.split('\0').filter(Boolean)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await cp(join(projectRoot, file), join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      // Listed as tracked, but deleted in the working tree.
      if (error.code !== 'ENOENT') throw error;
    });
  }
  return {
    folder,
    async exec(command, words, environment = {}) {
      const done = await exec(command, [...words], {
        cwd: folder,
        env: { ...process.env, ...environment },
        maxBuffer: 2 ** 26,
      });
      return done.stdout + done.stderr;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
