import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { projectRoot } from './build.ts';

/** One rule taken out of the sources. */
export interface Breakage {
  /** Relative to `src`. */
  readonly file: string;
  /** Must stand in the file exactly once; if it does not, the breakage is out of date and the test fails. */
  readonly replace: string;
  readonly by: string;
}

/** Imports a module of the broken build, named relative to `src`. */
export type Load = <Module>(file: string) => Promise<Module>;

const builds = join(projectRoot, '.broken-builds');
/** What the sources look up beside `src`. */
const besideSources = ['drizzle', 'matrix', 'package.json'];

/**
 * Copies the compiled sources, breaks the copy and lets `work` load modules from it, which Node then does itself: vitest
 * would transform some two hundred files for each build. Every build lies in a folder of its own, so all of its modules
 * are new and none is shared with the real build: take whatever knows a class or keeps state (errors, services) from
 * `load` too. The copy is gone when `work` has ended. `part` is the folder of `src` to be copied, for what needs no more
 * than that; all of it if left out.
 */
export async function withBrokenBuild<Result>(
  breakage: Breakage | readonly Breakage[],
  work: (load: Load) => Promise<Result>,
  part = '',
): Promise<Result> {
  await mkdir(builds, { recursive: true });
  const build = await mkdtemp(join(builds, `${process.pid}-`));
  try {
    await cp(join(projectRoot, 'dist', part), join(build, 'src', part), { recursive: true });
    for (const name of besideSources) await symlink(join(projectRoot, name), join(build, name));
    await compileBroken(build, [breakage].flat());
    const load = (file: string) =>
      import(/* @vite-ignore */ pathToFileURL(join(build, 'src', compiled(file))).href);
    return await work(load);
  } finally {
    await rm(build, { recursive: true, force: true });
  }
}

/** Over the copy of what was compiled from them go the broken files, compiled as `npm run build` does, types unchecked. */
async function compileBroken(build: string, breakages: readonly Breakage[]): Promise<void> {
  if (breakages.length === 0) return;
  const files = new Map<string, string>();
  for (const each of breakages)
    files.set(
      each.file,
      broken(files.get(each.file) ?? (await readFile(join(projectRoot, 'src', each.file), 'utf8')), each),
    );
  for (const [file, text] of files) {
    await mkdir(join(build, 'broken', dirname(file)), { recursive: true });
    await writeFile(join(build, 'broken', file), text);
  }
  const project = join(build, 'tsconfig.json');
  await writeFile(
    project,
    JSON.stringify({
      extends: join(projectRoot, 'tsconfig.build.json'),
      compilerOptions: {
        noCheck: true,
        noResolve: true,
        types: [],
        incremental: false,
        rootDir: 'broken',
        outDir: 'src',
      },
      files: [...files.keys()].map((file) => join('broken', file)),
      include: [],
    }),
  );
  await promisify(execFile)(join(projectRoot, 'node_modules/.bin/tsc'), ['-p', project]);
}

function broken(text: string, { file, replace, by }: Breakage): string {
  const places = text.split(replace).length - 1;
  if (places !== 1)
    throw new Error(`the text to replace stands ${places} times in src/${file}, not once:\n${replace}`);
  // As a function, because a text would have its dollar signs interpreted.
  return text.replace(replace, () => by);
}

const compiled = (file: string) => file.replace(/\.ts$/, '.js');
