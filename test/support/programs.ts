import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Breakage } from './broken-build.ts';
import { projectRoot } from './build.ts';
import type { Ways } from './steps.ts';

/** Releases of the program that differ in their migration steps, compiled from these sources. */
export interface Programs {
  /** A folder with the program, the steps of this release, and more after them. */
  withSteps(steps: Readonly<Record<string, Ways>>): Promise<string>;
  /** A folder with the program and the steps of another folder. */
  withFolder(drizzle: string): Promise<string>;
  /** A folder with the program without one rule: a line that reads the same when it is compiled. */
  broken(breakage: Breakage): Promise<string>;
  remove(): Promise<void>;
}

export async function openPrograms(): Promise<Programs> {
  const place = await mkdtemp(join(tmpdir(), 'rolecall-programs-'));
  const dist = join(place, 'dist');
  const compiler = join(projectRoot, 'node_modules/typescript/bin/tsc');
  const words = ['-p', join(projectRoot, 'tsconfig.build.json'), '--outDir', dist, '--noCheck'];
  await promisify(execFile)(process.execPath, [compiler, ...words, '--tsBuildInfoFile', join(dist, 'info')]);

  async function withFolder(drizzle: string): Promise<string> {
    const folder = await mkdtemp(join(place, 'program-'));
    for (const part of ['node_modules', 'matrix']) await symlink(join(projectRoot, part), join(folder, part));
    for (const part of ['package.json', 'bin'])
      await cp(join(projectRoot, part), join(folder, part), { recursive: true });
    await cp(drizzle, join(folder, 'drizzle'), { recursive: true });
    await cp(dist, join(folder, 'dist'), { recursive: true });
    return folder;
  }

  return {
    withFolder,
    async broken({ file, replace, by }) {
      const folder = await withFolder(join(projectRoot, 'drizzle'));
      const path = join(folder, 'dist', file.replace(/\.ts$/, '.js'));
      const text = await readFile(path, 'utf8');
      if (text.split(replace).length !== 2) throw new Error(`not once in ${file}:\n${replace}`);
      await writeFile(path, text.replace(replace, by));
      return folder;
    },
    async withSteps(steps) {
      const folder = await withFolder(join(projectRoot, 'drizzle'));
      for (const [name, [up, down]] of Object.entries(steps)) {
        await writeFile(join(folder, 'drizzle', `${name}.sql`), up);
        await writeFile(join(folder, 'drizzle', `${name}.down.sql`), down);
      }
      return folder;
    },
    remove: () => rm(place, { recursive: true, force: true }),
  };
}
