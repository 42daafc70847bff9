import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from './build.ts';
import type { Ways } from './steps.ts';

/** Releases of the program that differ in their migration steps, compiled from these sources. */
export interface Programs {
  /** A folder with the program, the steps of this release, and more after them. */
  withSteps(steps: Readonly<Record<string, Ways>>): Promise<string>;
  /** A folder with the program and the steps of another folder. */
  withFolder(drizzle: string): Promise<string>;
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
