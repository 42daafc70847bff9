import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { serverAccount } from '../../src/storage/embedded/account.ts';
import { freePort } from '../../src/storage/embedded/port.ts';
import { long } from './long-run.ts';

const installed = '/usr/lib/postgresql';

/** The folder of PostgreSQL's own programs, as Debian's package `postgresql` brings them; undefined without it. */
export const serverTools = (existsSync(installed) ? readdirSync(installed) : [])
  .map((version) => join(installed, version, 'bin'))
  .filter((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'pg_dump')))
  .sort()
  .at(-1);

// Where everything is to be tried, nothing is left out silently.
if (serverTools === undefined && long)
  throw new Error('the long tests need pg_dump and initdb: apt-get install -y postgresql');

/** A new folder below the temporary one, of whoever runs the programs. */
export async function toolFolder(): Promise<string> {
  const account = await serverAccount();
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-tools-'));
  if (account) await chown(folder, account.uid, account.gid);
  return folder;
}

/** Runs one of PostgreSQL's programs as whoever runs the server. Rejects with what it printed if it fails. */
export function runTool(program: string, words: readonly string[]): Promise<string> {
  return runAsServer(join(serverTools as string, program), words);
}

/** The same for a program of the system. */
export async function runAsServer(program: string, words: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, [...words], {
    ...(await serverAccount()),
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] },
    maxBuffer: 2 ** 26,
  });
  return stdout + stderr;
}

export interface ServerCluster {
  /** The database `postgres`, as the superuser `postgres`, who needs no password. */
  readonly url: string;
  /** The folder of its files. */
  readonly data: string;
  /** Ends it without a checkpoint, as a failing machine would, and starts it again. */
  crash(): Promise<void>;
  /** Stops it, and rejects with what `pg_checksums` says if a page is not as it was written. */
  stopAndCheck(): Promise<string>;
  stop(): Promise<void>;
}

const initialization = [
  ...['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
  ...['--no-sync', '--data-checksums'],
];

export interface ClusterOptions {
  /** Whether it is to outlive crashes. */
  readonly durable?: boolean;
  /** A base backup that it is made of, which stays as it is; left out, it begins empty, with checksums. */
  readonly base?: string;
  /** Further settings; with a `restore_command` it begins by recovering, and has when this returns. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A cluster of its own, of the same version as the programs. Rejects if it does not come to take writes. */
export async function startCluster(options: ClusterOptions = {}): Promise<ServerCluster> {
  const { durable = false, base, settings: further = {} } = options;
  const folder = await toolFolder();
  const data = join(folder, 'data');
  if (base) await runAsServer('cp', ['-a', base, data]);
  else await runTool('initdb', ['-D', data, ...initialization]);
  if ('restore_command' in further) await runAsServer('touch', [join(data, 'recovery.signal')]);
  const port = await freePort(0);
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const fsync = durable ? 'on' : 'off';
  const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', fsync, ...further };
  const words = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const account = await serverAccount();

  async function start() {
    const server = spawn(join(serverTools as string, 'postgres'), ['-D', data, ...words], {
      ...account,
      cwd: folder,
      env: {},
      stdio: 'ignore',
    });
    const gone = once(server, 'exit');
    for (const deadline = Date.now() + 30_000; !(await takesWrites(url)); await sleep(50))
      if (Date.now() > deadline || server.exitCode !== null) {
        server.kill('SIGQUIT');
        await gone;
        await rm(folder, { recursive: true, force: true });
        throw new Error('the cluster did not start');
      }
    return async (signal: NodeJS.Signals) => {
      server.kill(signal);
      await gone;
    };
  }

  let end = await start();
  return {
    url,
    data,
    async crash() {
      await end('SIGQUIT');
      end = await start();
    },
    async stopAndCheck() {
      await end('SIGINT');
      return runTool('pg_checksums', ['--check', '-D', data]);
    },
    async stop() {
      await end('SIGINT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function takesWrites(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} });
  return sql<[{ recovers: boolean }]>`select pg_is_in_recovery() as recovers`
    .then(
      ([{ recovers }]) => !recovers,
      () => false,
    )
    .finally(() => sql.end({ timeout: 1 }));
}
