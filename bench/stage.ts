import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { startEmbeddedPostgres } from '../src/storage/embedded/embedded.ts';
import { fill, type Size } from './data.ts';
import { type Cores, projectRoot } from './host.ts';
import type { Options } from './options.ts';
import {
  benchProgram,
  type Measured,
  type Program,
  type Server,
  startServer,
  startWorker,
  type Worker,
} from './processes.ts';

const service = fileURLToPath(new URL('bin/rolecall.js', projectRoot));
const journalKey = 'a-key-for-the-bench-only-0123456789';

/** A database filled to a size, with a key that may ask (role `backend`) and one that may do everything. */
export interface World {
  readonly size: Size;
  readonly databaseUrl: string;
  readonly askingKey: string;
  readonly administratorKey: string;
}

/** All that runs during the bench. Whatever is started here ends with `close` at the latest. */
export interface Stage {
  readonly options: Options;
  /** Sends the requests, on the cores that are not measured. */
  readonly generator: Worker;
  /** What the figures are taken on, when nothing else is said. */
  readonly usualSize: Size;
  /** The world of this size, made when first asked for. */
  world(size?: Size): Promise<World>;
  /** A copy of a world in the state it is in. Nobody may be connected to it. */
  copy(world: World): Promise<World>;
  /** The service on a world, by another program than the one that was built if one is named. */
  serve(world: World, program?: string): Promise<Server>;
  /** One of the limits of `bench/limits` that listens. */
  limitServer(file: string, ...words: string[]): Promise<Server>;
  /** Another program of the bench, on the measured core. */
  measuredWorker(file: string, ...words: string[]): Promise<Worker>;
  /** Tells whoever waits what goes on. */
  say(text: string): void;
  /** Ends everything and removes what was written. May be called again. */
  close(): Promise<void>;
}

export async function openStage(options: Options, cores: Cores | undefined): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-bench-'));
  // fsync stays on, for grants are measured to the disk. Memory is what a server of that size would have.
  const settings = { shared_buffers: '1GB', max_wal_size: '8GB', max_connections: '200', autovacuum: 'off' };
  const server = await startEmbeddedPostgres({ dataDirectory: folder, durable: true, settings });
  const administration = postgres(server.url, { max: 1, onnotice: () => {} });
  const started = new Set<Measured>();
  const worlds = new Map<string, Promise<World>>();
  const usualSize = { users: options.quick ? 10_000 : 1_000_000, roles: 100, permissions: 1_000 };
  const keep = <One extends Measured>(one: One): One => {
    started.add(one);
    return one;
  };
  const generator = keep(startWorker([benchProgram('generator.js')]));
  const say = (text: string) => void process.stderr.write(`${text}\n`);

  async function emptyDatabase(template: string): Promise<string> {
    const name = `bench_${worlds.size}_${Date.now().toString(36)}`;
    await administration`create database ${administration(name)} template ${administration(template)}`;
    return Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
  }

  async function makeWorld(size: Size): Promise<World> {
    say(`filling a database: ${describeSize(size)}`);
    const databaseUrl = await emptyDatabase('template0');
    const command = async (...words: string[]) => {
      const env = { PATH: process.env['PATH'], DATABASE_URL: databaseUrl, ROLECALL_JOURNAL_KEY: journalKey };
      return (await promisify(execFile)(process.execPath, [service, ...words], { env })).stdout;
    };
    const keyFor = async (user: string, role: string) =>
      (
        JSON.parse(await command('keys', 'create', '--user', user, '--role', role, '--json')) as {
          key: string;
        }
      ).key;
    await command('migrate', 'up');
    await command('matrix', 'apply');
    const administratorKey = await keyFor('bench-admin', 'admin');
    const askingKey = await keyFor('bench-backend', 'backend');
    const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
    await fill(sql, size).finally(() => sql.end());
    return { size, databaseUrl, askingKey, administratorKey };
  }

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    await Promise.all([...started].map((one) => one.stop()));
    await administration.end({ timeout: 1 });
    await server.stop();
    for (const path of [server.dataDirectory, folder]) await rm(path, { recursive: true, force: true });
  }

  return {
    options,
    generator,
    usualSize,
    world(size = usualSize) {
      const name = describeSize(size);
      const made = worlds.get(name) ?? makeWorld(size);
      worlds.set(name, made);
      return made;
    },
    async copy(world) {
      const template = new URL(world.databaseUrl).pathname.slice(1);
      return { ...world, databaseUrl: await emptyDatabase(template) };
    },
    serve: async ({ databaseUrl }, program = service) => {
      const environment = {
        DATABASE_URL: databaseUrl,
        ROLECALL_JOURNAL_KEY: journalKey,
        PORT: '0',
        // A machine that is busy otherwise is to show in the figures, not as requests that were given up.
        ROLECALL_REQUEST_TIMEOUT_MS: '20000',
      };
      return keep(await startServer([program, 'serve'], environment, cores));
    },
    limitServer: async (...program: Program) => keep(await startServer(placed(program), {}, cores)),
    measuredWorker: async (...program: Program) => keep(startWorker(placed(program), cores)),
    say,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function placed([file, ...words]: Program): Program {
  return [benchProgram(file), ...words];
}

export function describeSize({ users, roles, permissions }: Size): string {
  const count = (number: number) => number.toLocaleString('en');
  return `${count(users)} users, ${count(roles)} roles, ${count(permissions)} permissions`;
}
