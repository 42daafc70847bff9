import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The user that runs the server in place of root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Who must run the server: nobody special for an ordinary user (`undefined`); for root, whom PostgreSQL refuses,
 * the user `postgres` or else `nobody`.
 *
 * @throws Error when root has neither.
 */
export async function serverAccount(): Promise<ServerAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const named = (wanted: string) => users.find(([name]) => name === wanted);
  const [, , uid, gid] = named('postgres') ?? named('nobody') ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error(
      'PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody" to run it as.',
    );
  return { uid: Number(uid), gid: Number(gid) };
}

/**
 * The folder to use for `wanted`, made if absent: that folder itself, or, when it lies below one that the account
 * cannot enter, a folder below the system's temporary directory that is the same on every start.
 *
 * @throws Error when the account cannot enter the temporary directory either.
 */
export async function reachableFolder(wanted: string, account: ServerAccount | undefined): Promise<string> {
  await mkdir(dirname(wanted), { recursive: true });
  await mkdir(wanted, { recursive: true, mode: 0o700 });
  const folder = await realpath(wanted);
  if (account === undefined) return folder;
  if (!(await canEnter(dirname(folder), account))) return passableFolder(folder, account);
  await letPass(folder);
  return folder;
}

/**
 * A folder below the temporary directory, always the same for the same purpose. Only the caller's user writes
 * there; others may pass through, so that the server's account reaches what it owns inside.
 *
 * @throws Error when somebody else made it first, or when the account cannot enter it.
 */
export async function passableFolder(purpose: string, account: ServerAccount | undefined): Promise<string> {
  const user = process.getuid?.();
  const name = createHash('sha256').update(`${user} ${purpose}`).digest('hex').slice(0, 16);
  const folder = join(await realpath(tmpdir()), `rolecall-${name}`);
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const made = await lstat(folder);
  // The temporary directory is open to all: a link or folder planted there must not lead root's writes astray.
  if (!made.isDirectory() || (user !== undefined && made.uid !== user))
    throw new Error(`${folder} is needed for PostgreSQL, but somebody else has made it. Remove it.`);
  await letPass(folder);
  if (account !== undefined && !(await canEnter(folder, account)))
    throw new Error(`The user with id ${account.uid}, who is to run PostgreSQL, cannot enter ${folder}.`);
  return folder;
}

async function letPass(folder: string): Promise<void> {
  await chmod(folder, (await stat(folder)).mode | 0o111);
}

async function canEnter(folder: string, account: ServerAccount): Promise<boolean> {
  const { mode, uid, gid } = await stat(folder);
  const entry = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  if ((mode & entry) === 0) return false;
  const above = dirname(folder);
  return above === folder || canEnter(above, account);
}
