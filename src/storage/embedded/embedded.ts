import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { reachableFolder, type ServerAccount, serverAccount } from './account.ts';
import { runnableBinaries } from './binaries.ts';
import { type Cluster, clusterAccount, openCluster, refuseWhenHeld } from './cluster.ts';
import { freePort } from './port.ts';
import { type SupervisedServer, superviseServer } from './supervisor.ts';

/** A running PostgreSQL of our own. */
export interface EmbeddedPostgres {
  /** `postgres://rolecall:<password>@127.0.0.1:<port>/postgres`, a superuser. */
  readonly url: string;
  readonly port: number;
  /** Where the data really lies: for root possibly not where it was wanted, see `startEmbeddedPostgres`. */
  readonly dataDirectory: string;
  /** Stops the server, losing nothing that was committed; resolves when it is gone. May be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Folder that holds the cluster, its password, its log and the port it was last found at; made if absent. */
  readonly dataDirectory: string;
  /** False trades safety against a crash of the machine for speed: for tests. */
  readonly durable: boolean;
  /** Further settings of the server, such as `{ max_connections: '200' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Starts the PostgreSQL that ships with the package on the data of this folder, on the loopback interface only, at
 * the port of the last time when that is free. The server stops when `stop` is called or this process ends, even by
 * a kill; what was committed is there at the next start. When root starts it, it runs as another user, and the data
 * moves to the temporary directory if that user cannot enter the folders above it.
 *
 * @throws Error when a live server holds the folder, or PostgreSQL is not installed, cannot run or does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const host = await serverAccount();
  const folder = await reachableFolder(resolve(options.dataDirectory), host);
  const account = await clusterAccount(folder, host);
  const binaries = await runnableBinaries(account);
  const cluster = await openCluster(folder, binaries, account, options.durable);

  const patience = Date.now() + 5_000;
  for (;;) {
    await refuseWhenHeld(cluster);
    try {
      return await launch({ folder, cluster, account, binaries, settings: settingsFrom(options) });
    } catch (error) {
      if (!mayPass(error) || Date.now() > patience) throw error;
      await sleep(200);
    }
  }
}

interface Launch {
  readonly folder: string;
  readonly cluster: Cluster;
  readonly account: ServerAccount | undefined;
  readonly binaries: string;
  readonly settings: Readonly<Record<string, string>>;
}

async function launch({ folder, cluster, account, binaries, settings }: Launch): Promise<EmbeddedPostgres> {
  const [portFile, logFile] = [join(folder, 'port'), join(folder, 'server.log')];
  const lastPort = existsSync(portFile) ? Number(await readFile(portFile, 'utf8')) : 0;
  const port = await freePort(lastPort);
  const reach = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' };
  const args = Object.entries({ ...settings, ...reach }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const url = `postgres://rolecall:${cluster.password}@127.0.0.1:${port}/postgres`;

  await writeFile(logFile, '', { mode: 0o600 });
  const server = superviseServer(binaries, ['-D', cluster.data, ...args], account, logFile);
  if (!(await becomesReady(server, url))) {
    await server.stop();
    throw new Error(
      `PostgreSQL did not start on ${cluster.data}. Its log ends with:\n${await tailOf(logFile)}`,
    );
  }
  await writeFile(portFile, String(port));
  server.letGo();
  return { url, port, dataDirectory: folder, stop: () => server.stop() };
}

function settingsFrom({ durable, settings }: EmbeddedOptions): Readonly<Record<string, string>> {
  const hasty = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };
  return { ...(durable ? {} : hasty), ...settings };
}

async function becomesReady(server: SupervisedServer, url: string): Promise<boolean> {
  const deadline = Date.now() + 60_000;
  const gone = server.gone.then(() => true);
  while (Date.now() < deadline) {
    if (await answersQueries(url)) return true;
    if (await Promise.race([gone, sleep(30, false)])) return false;
  }
  return false;
}

async function answersQueries(url: string): Promise<boolean> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 2,
    ssl: false,
    fetch_types: false,
    onnotice: () => {},
  });
  return sql`select 1`
    .then(
      () => true,
      () => false,
    )
    .finally(() => sql.end({ timeout: 1 }));
}

/**
 * Whether trying again may help: another program took the port, another start took the cluster (the next look at it
 * tells whose), or the processes of a server that was killed have yet to notice.
 */
function mayPass(error: unknown): boolean {
  const passing =
    /could not create any TCP\/IP sockets|lock file "postmaster.pid" already exists|still in use/;
  return error instanceof Error && passing.test(error.message);
}

async function tailOf(logFile: string): Promise<string> {
  return (await readFile(logFile, 'utf8')).slice(-2_000).trim();
}
