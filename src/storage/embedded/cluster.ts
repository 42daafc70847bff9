import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ServerAccount } from './account.ts';

const execute = promisify(execFile);

/** The database files and the password of their superuser `rolecall`. */
export interface Cluster {
  readonly data: string;
  readonly password: string;
}

/**
 * The account that must run the cluster in this folder. PostgreSQL insists on the owner of the data, who may be
 * another than a new cluster would get: the user `postgres` may have come since, or root may be visiting a user's.
 */
export async function clusterAccount(
  folder: string,
  account: ServerAccount | undefined,
): Promise<ServerAccount | undefined> {
  const owner = await stat(join(folder, 'cluster', 'data')).catch(() => undefined);
  return account === undefined || owner === undefined || owner.uid === 0
    ? account
    : { uid: owner.uid, gid: owner.gid };
}

/**
 * Opens the cluster of this folder, making it when there is none. Files and password appear together or not at
 * all, so that a process killed half-way leaves nothing that a later start would mistake for a cluster.
 *
 * @throws Error when `initdb` fails.
 */
export async function openCluster(
  folder: string,
  binaries: string,
  account: ServerAccount | undefined,
  durable: boolean,
): Promise<Cluster> {
  const home = join(folder, 'cluster');
  await removeAbandonedDrafts(folder);
  if (!existsSync(home)) await makeCluster(home, binaries, account, durable);
  return { data: join(home, 'data'), password: await readFile(join(home, 'password'), 'utf8') };
}

async function makeCluster(
  home: string,
  binaries: string,
  account: ServerAccount | undefined,
  durable: boolean,
): Promise<void> {
  const draft = await mkdtemp(`${home}.${process.pid}.`);
  const [data, password] = [join(draft, 'data'), join(draft, 'password')];
  try {
    await mkdir(data, { mode: 0o700 });
    await writeFile(password, randomBytes(24).toString('base64url'), { mode: 0o600 });
    if (account !== undefined) {
      await chmod(draft, 0o711);
      for (const path of [data, password]) await chown(path, account.uid, account.gid);
    }
    const login = ['-U', 'rolecall', '-A', 'scram-sha-256', `--pwfile=${password}`];
    const text = ['-E', 'UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const sync = durable ? [] : ['--no-sync'];
    // An empty environment: no PGDATA, LC_ALL or TZ of the caller is to shape the cluster.
    const options = { ...account, cwd: draft, env: {} };
    await execute(join(binaries, 'initdb'), ['-D', data, ...login, ...text, ...sync], options);
    if (account !== undefined) await chown(password, 0, 0);
    await rename(draft, home);
  } catch (cause) {
    // Another start may have made the cluster meanwhile; then this one has nothing to complain about.
    if (!existsSync(home))
      throw new Error(`PostgreSQL could not make a cluster in ${home}: ${cause}`, { cause });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function removeAbandonedDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const maker = /^cluster\.(\d+)\./.exec(name)?.[1];
    if (maker === undefined || isAlive(Number(maker))) continue;
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Waits for a server that is on its way out, as after its parent was killed, to let go of the cluster.
 *
 * @throws Error naming the folder and the process when a server stays.
 */
export async function refuseWhenHeld(cluster: Cluster): Promise<void> {
  const patience = { ready: Date.now() + 1_500, stopping: Date.now() + 5_000 };
  for (;;) {
    const holder = await holderOf(cluster.data);
    if (holder === undefined) return;
    if (Date.now() > (holder.stopping ? patience.stopping : patience.ready))
      throw new Error(`A PostgreSQL server (process ${holder.pid}) already runs on ${cluster.data}.`);
    await sleep(100);
  }
}

async function holderOf(data: string): Promise<{ pid: number; stopping: boolean } | undefined> {
  const file = join(data, 'postmaster.pid');
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n');
  const pid = Number(lines[0]);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  const command = await commandOf(pid);
  if (command === undefined || command.includes(data))
    return { pid, stopping: lines[7]?.trim() === 'stopping' };
  // After a reboot, or in a new container, the number may be a stranger's. PostgreSQL would take any process of its
  // user for a server and refuse to start; what may be a server after all is left for it to judge.
  if (!command.includes('postgres')) await rm(file, { force: true });
  return undefined;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The command line of a process; empty for one that has just died, `undefined` where the system does not tell. */
async function commandOf(pid: number): Promise<string | undefined> {
  if (existsSync('/proc/self/cmdline')) return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return execute('ps', ['-o', 'command=', '-p', String(pid)]).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}
