import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/embedded.ts';
import { prepareTemplate } from './template.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The server of this run, as its superuser. */
    postgresUrl: string;
  }
}

export interface SharedPostgres {
  readonly url: string;
  /** The last of those who share the server stops it and removes its data. */
  release(): Promise<void>;
}

interface Shared {
  users: number;
  readonly server: ReturnType<typeof startPrepared>;
}

// Every vitest project loads this file anew, so a variable of the module would not be shared.
const registry = globalThis as typeof globalThis & { rolecallTestPostgres?: Shared | undefined };

/** The one throw-away server of this process, started for whoever asks first. */
export async function sharePostgres(): Promise<SharedPostgres> {
  registry.rolecallTestPostgres ??= { users: 0, server: startPrepared() };
  const shared = registry.rolecallTestPostgres;
  shared.users += 1;
  const release = async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    if (registry.rolecallTestPostgres === shared) registry.rolecallTestPostgres = undefined;
    const server = await shared.server;
    await server.stop();
    if (server.dataDirectory) await rm(server.dataDirectory, { recursive: true, force: true });
  };
  return { url: (await shared.server).url, release };
}

/** The variable that names another server to test on, by its superuser's URL: PostgreSQL 15 to 18 must all do. */
const otherServer = process.env['TEST_POSTGRES_URL'];

async function startPrepared(): Promise<Pick<EmbeddedPostgres, 'url' | 'stop'> & { dataDirectory?: string }> {
  if (otherServer) {
    await prepareTemplate(otherServer);
    return { url: otherServer, stop: async () => {} };
  }
  const place = await quickestPlace();
  await removeLeftovers(place);
  const dataDirectory = await mkdtemp(join(place, `rolecall-test-${process.pid}-`));
  const settings = { max_connections: '600', max_wal_size: '256MB' };
  try {
    const server = await startEmbeddedPostgres({ dataDirectory, durable: false, settings });
    await prepareTemplate(server.url).catch((error) => server.stop().then(() => Promise.reject(error)));
    return server;
  } catch (error) {
    await rm(dataDirectory, { recursive: true, force: true });
    throw error;
  }
}

/** Memory where there is plenty, since copying the template takes some ten times as long on a disk. */
async function quickestPlace(): Promise<string> {
  const plenty = 4 * 2 ** 30;
  const memory = await statfs('/dev/shm').catch(() => undefined);
  const room = memory === undefined ? 0 : Math.min(memory.bavail * memory.bsize, freemem());
  return room > plenty ? '/dev/shm' : tmpdir();
}

/** The data of runs that were killed before they could remove it, as far as they are this user's. */
async function removeLeftovers(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const run = /^rolecall-test-(\d+)-/.exec(name)?.[1];
    if (run === undefined || isRunning(Number(run))) continue;
    await rm(join(place, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
