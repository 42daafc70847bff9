import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

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

const root = fileURLToPath(new URL('../../', import.meta.url));
const builds = join(root, '.broken-builds');
/** What the sources look up beside `src`. */
const besideSources = ['drizzle', 'matrix', 'package.json'];

/**
 * Copies the sources, breaks the copy and lets `work` load modules from it. Every build lies in a folder of its own, so
 * all of its modules are new and none is shared with the real build: take whatever knows a class or keeps state (errors,
 * services) from `load` too. The copy is gone when `work` has ended. `part` is the folder of `src` to be copied, for what
 * needs no more than that; all of it if left out.
 */
export async function withBrokenBuild<Result>(
  breakage: Breakage | readonly Breakage[],
  work: (load: Load) => Promise<Result>,
  part = '',
): Promise<Result> {
  await mkdir(builds, { recursive: true });
  const build = await mkdtemp(join(builds, `${process.pid}-`));
  try {
    await cp(join(root, 'src', part), join(build, 'src', part), { recursive: true });
    for (const name of besideSources) await symlink(join(root, name), join(build, name));
    for (const each of [breakage].flat()) await breakFile(join(build, 'src', each.file), each);
    return await work((file) => import(/* @vite-ignore */ pathToFileURL(join(build, 'src', file)).href));
  } finally {
    await rm(build, { recursive: true, force: true });
  }
}

async function breakFile(path: string, { file, replace, by }: Breakage): Promise<void> {
  const text = await readFile(path, 'utf8');
  const places = text.split(replace).length - 1;
  if (places !== 1)
    throw new Error(`the text to replace stands ${places} times in src/${file}, not once:\n${replace}`);
  // As a function, because a text would have its dollar signs interpreted.
  await writeFile(
    path,
    text.replace(replace, () => by),
  );
}
