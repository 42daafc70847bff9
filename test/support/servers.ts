/** PostgreSQL servers of a test's own, to be stopped, frozen, copied and promoted. */
import { execFile, spawnSync } from 'node:child_process';
import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import { operatorCall } from '../../src/services/call.ts';
import { type ServerAccount, serverAccount } from '../../src/storage/embedded/account.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/embedded.ts';
import { freePort } from '../../src/storage/embedded/port.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { openTestRuntime } from './runtime.ts';

const execute = promisify(execFile);

export interface OwnServer {
  /** Of the database `postgres`, migrated and with the baseline applied. */
  readonly url: string;
  /** The folder of its files. */
  readonly data: string;
  stop(): Promise<void>;
  /** Ends every process of the server at once, as a failing machine would. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port. */
  start(): Promise<void>;
  /** Stops every process in its tracks; what it returns lets them go on. */
  freeze(): Promise<() => void>;
  /** Stops it if need be, and removes its data. */
  remove(): Promise<void>;
}

/** A server of the embedded PostgreSQL, with Rolecall on it. Its files lie in a folder of their own in `place`. */
export async function startOwnServer(
  settings: Readonly<Record<string, string>> = {},
  place = tmpdir(),
): Promise<OwnServer> {
  const folder = await mkdtemp(join(place, 'rolecall-own-server-'));
  const open = (dataDirectory: string) => startEmbeddedPostgres({ dataDirectory, durable: false, settings });
  let server: EmbeddedPostgres = await open(folder);
  await migrateUp({ url: server.url, steps: await readSteps() });
  const runtime = await openTestRuntime(server.url);
  await runtime.matrix.apply(operatorCall(60_000), [await readMatrixFile(shippedBaseline)]);
  await runtime.close();
  const { url } = server;
  let thaw = () => {};
  const data = join(server.dataDirectory, 'cluster', 'data');
  const start = async () => {
    server = await open(server.dataDirectory);
    if (server.url !== url) throw new Error('the server came back at another port');
  };
  return {
    url,
    data,
    start,
    stop: () => server.stop(),
    async kill() {
      for (const pid of await processesOf(data)) process.kill(pid, 'SIGKILL');
      await server.stop();
    },
    async freeze() {
      const pids = await processesOf(data);
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      let isFrozen = true;
      thaw = () => {
        if (isFrozen) for (const pid of pids) process.kill(pid, 'SIGCONT');
        isFrozen = false;
      };
      return thaw;
    },
    async remove() {
      thaw();
      await server.stop();
      for (const gone of [folder, server.dataDirectory]) await rm(gone, { recursive: true, force: true });
    },
  };
}

async function processesOf(data: string): Promise<readonly number[]> {
  const postmaster = Number.parseInt(await readFile(join(data, 'postmaster.pid'), 'utf8'), 10);
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const table = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return [postmaster, ...table.flatMap(([pid = 0, parent]) => (parent === postmaster ? [pid] : []))];
}

/** The programs of a PostgreSQL that is installed on this machine, the newest; undefined if none is. */
export async function installedPrograms(): Promise<string | undefined> {
  const versions = await readdir('/usr/lib/postgresql').catch((): string[] => []);
  const newest = versions.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  return newest && `/usr/lib/postgresql/${newest}/bin`;
}

export interface Pair {
  readonly primary: string;
  readonly standby: string;
  /** Nothing that is committed from now on reaches the standby. */
  stopShipping(): Promise<void>;
  killPrimary(): Promise<void>;
  promote(): Promise<void>;
  remove(): Promise<void>;
}

/** A primary with Rolecall on it and a streaming standby, of the installed PostgreSQL. */
export async function startPair(programs: string): Promise<Pair> {
  const account = await serverAccount();
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-pair-'));
  if (account) await chown(folder, account.uid, account.gid);
  const run = (program: string, words: readonly string[]) =>
    runAs(account, folder, join(programs, program), words);
  const [one, other] = [join(folder, 'one'), join(folder, 'other')];
  const ports = [await freePort(0), await freePort(0)] as const;
  const start = (data: string, port: number) =>
    run('pg_ctl', [
      '-D',
      data,
      '-w',
      '-l',
      `${data}.log`,
      '-o',
      `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c fsync=off -c hot_standby=on`,
      'start',
    ]);
  const urlAt = (port: number) => `postgres://rolecall@127.0.0.1:${port}/postgres`;
  const stop = (data: string) =>
    run('pg_ctl', ['-D', data, '-m', 'immediate', 'stop']).catch(() => undefined);

  await run('initdb', [
    '-D',
    one,
    '-U',
    'rolecall',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ]);
  await start(one, ports[0]);
  await migrateUp({ url: urlAt(ports[0]), steps: await readSteps() });
  const runtime = await openTestRuntime(urlAt(ports[0]));
  await runtime.matrix.apply(operatorCall(60_000), [await readMatrixFile(shippedBaseline)]);
  await runtime.close();
  await run('pg_basebackup', [
    '-h',
    '127.0.0.1',
    '-p',
    String(ports[0]),
    '-U',
    'rolecall',
    '-D',
    other,
    '-R',
    '--no-sync',
    '-c',
    'fast',
  ]);
  await start(other, ports[1]);
  return {
    primary: urlAt(ports[0]),
    standby: urlAt(ports[1]),
    async stopShipping() {
      const sql = postgres(urlAt(ports[1]), { max: 1, onnotice: () => {} });
      await sql`alter system set primary_conninfo = ''`;
      await sql`select pg_reload_conf()`;
      while ((await sql`select 1 from pg_stat_wal_receiver`).length > 0);
      await sql.end();
    },
    killPrimary: async () => void (await stop(one)),
    promote: async () => void (await run('pg_ctl', ['-D', other, '-w', 'promote'])),
    async remove() {
      await Promise.all([stop(one), stop(other)]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function runAs(
  account: ServerAccount | undefined,
  cwd: string,
  program: string,
  words: readonly string[],
) {
  await execute(program, [...words], { ...account, cwd, env: { PATH: process.env['PATH'] } });
}
