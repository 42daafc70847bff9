import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { afterEach, describe, expect, test } from 'vitest';
import { serverAccount } from '../../src/storage/embedded/account.ts';
import { installedPackage, runnableBinaries } from '../../src/storage/embedded/binaries.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/embedded.ts';

const execute = promisify(execFile);
const isRoot = process.getuid?.() === 0;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-embedded-test-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function start(dataDirectory: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDirectory, durable: false });
  undo.push(() => server.stop());
  return server;
}

async function query<Row extends object>(url: string, statement: string): Promise<readonly Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return sql.unsafe<Row[]>(statement).finally(() => sql.end());
}

async function accepts(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port, timeout: 1_000 });
  return new Promise<boolean>((settle) => {
    socket.once('connect', () => settle(true));
    for (const failure of ['error', 'timeout']) socket.once(failure, () => settle(false));
  }).finally(() => socket.destroy());
}

async function goesQuietWithin(milliseconds: number, port: number): Promise<boolean> {
  for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await sleep(50)) {
    if (!(await accepts('127.0.0.1', port))) return true;
  }
  return false;
}

describe('a cluster', () => {
  test('keeps its rows, its password and its port from one start to the next', async () => {
    const folder = await temporaryFolder();
    const first = await start(folder);
    await query(first.url, `create table kept as select 'Zoë' as name`);
    await first.stop();
    await first.stop();
    expect(await accepts('127.0.0.1', first.port)).toBe(false);

    const second = await start(folder);
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select name from kept')).toEqual([{ name: 'Zoë' }]);
  });

  test('sorts and folds text by Unicode, whatever the locale of the machine', async () => {
    const { url } = await start(await temporaryFolder());
    const [row] = await query(
      url,
      `select lower('ÉCOLE') as lower, current_setting('server_encoding') as encoding`,
    );
    expect(row).toEqual({ lower: 'école', encoding: 'UTF8' });
  });

  test('takes another port when the last one is taken', async () => {
    const [folder, other] = [await temporaryFolder(), await temporaryFolder()];
    const first = await start(folder);
    await first.stop();
    await writeFile(join(other, 'port'), String(first.port));
    const squatter = await start(other);
    expect(squatter.port).toBe(first.port);

    const second = await start(folder);
    expect(second.port).not.toBe(first.port);
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('keeps its password from other users', async () => {
    const folder = await temporaryFolder();
    await start(folder);
    const password = await stat(join(folder, 'cluster', 'password'));
    expect(password.mode & 0o777).toBe(0o600);
    expect(password.uid).toBe(process.getuid?.());
  });

  test('is reached over the loopback interface only, and with the password only', async () => {
    const { url, port } = await start(await temporaryFolder());
    const settings = `select current_setting('listen_addresses') as addresses,
      current_setting('unix_socket_directories') as sockets`;
    expect(await query(url, settings)).toEqual([{ addresses: '127.0.0.1', sockets: '' }]);
    const outside = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    for (const { address } of outside.filter(({ internal, family }) => !internal && family === 'IPv4')) {
      expect(await accepts(address, port)).toBe(false);
    }
    await expect(query(url.replace(/:[^:@]+@/, ':guess@'), 'select 1')).rejects.toMatchObject({
      code: '28P01',
    });
  });

  test('is refused to a second server while a live one holds it, naming folder and process', async () => {
    const folder = await temporaryFolder();
    const { url } = await start(folder);
    const data = join(folder, 'cluster', 'data');
    const pid = Number.parseInt(await readFile(join(data, 'postmaster.pid'), 'utf8'), 10);
    const refusal = `A PostgreSQL server (process ${pid}) already runs on ${data}.`;
    await expect(startEmbeddedPostgres({ dataDirectory: folder, durable: false })).rejects.toThrow(refusal);
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('goes to one of several that start at the same moment on an empty folder', async () => {
    const folder = await temporaryFolder();
    const starts = await Promise.allSettled([start(folder), start(folder), start(folder)]);
    const started = starts.filter((each) => each.status === 'fulfilled');
    expect(started).toHaveLength(1);
    for (const each of starts) {
      if (each.status === 'rejected') expect(String(each.reason)).toMatch(/already runs on/);
    }
    expect(await query(started[0]?.value.url ?? '', 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await readdir(folder)).sort()).toEqual(['cluster', 'port', 'server.log']);
  });

  test('starts although a stranger now has the process number of the server that died', async () => {
    const folder = await temporaryFolder();
    await (await start(folder)).stop();
    await writeFile(
      join(folder, 'cluster', 'data', 'postmaster.pid'),
      `${process.pid}\n/elsewhere\n0\n5432\n`,
    );
    const { url } = await start(folder);
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('whose server does not start is reported with the end of the log', async () => {
    const options = {
      dataDirectory: await temporaryFolder(),
      durable: false,
      settings: { max_connections: 'many' },
    };
    await expect(startEmbeddedPostgres(options)).rejects.toThrow(/did not start on .*max_connections/s);
  });

  test.runIf(isRoot)(
    'lies elsewhere when root wants it where the server cannot go, and is found again',
    async () => {
      const wanted = join(await temporaryFolder(), 'private', 'data');
      const first = await start(wanted);
      undo.splice(-1, 0, () => rm(first.dataDirectory, { recursive: true, force: true }));
      expect(first.dataDirectory).not.toBe(wanted);
      await query(first.url, 'create table kept as select 1 as one');
      await first.stop();

      const second = await start(wanted);
      expect(second.dataDirectory).toBe(first.dataDirectory);
      expect(await query(second.url, 'select one from kept')).toEqual([{ one: 1 }]);
    },
  );
});

describe('the binaries', () => {
  test('are copied when their folder is out of reach or cannot be written to', async () => {
    const installed = join(await temporaryFolder(), 'package');
    await cp(installedPackage(), installed, { recursive: true, verbatimSymlinks: true });
    const library = join(installed, 'native', 'lib');
    for (const name of await readdir(library)) {
      if (/\.so(\.\d+)?$/.test(name) && name.startsWith('libpq')) await rm(join(library, name));
    }
    await chmod(library, 0o555);
    undo.push(() => chmod(library, 0o755));

    const account = await serverAccount();
    const copies = await Promise.all([1, 2].map(() => runnableBinaries(account, installed)));
    const [copy = ''] = copies;
    undo.push(() => rm(resolve(copy, '../../..'), { recursive: true, force: true }));
    expect(copies).toEqual([copy, copy]);
    expect(copy.startsWith(installed)).toBe(false);
    expect(await runnableBinaries(account, installed)).toBe(copy);
    await expect(
      execute(join(copy, 'initdb'), ['--version'], { ...account, cwd: '/' }),
    ).resolves.toMatchObject({
      stdout: expect.stringContaining('PostgreSQL'),
    });
  });
});

describe('the process that started the server', () => {
  const program = `
    import postgres from 'postgres';
    import { startEmbeddedPostgres } from './storage/embedded/embedded.js';
    const server = await startEmbeddedPostgres({ dataDirectory: process.argv[2], durable: true });
    const tell = (line) => process.stdout.write(line + '\\n');
    process.on('SIGINT', async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const sql = postgres(server.url, { max: 1 });
      tell((await sql\`select 'drained' as word\`)[0].word);
      await sql.end();
      await server.stop();
      clearInterval(busy);
      tell('stopped');
    });
    const busy = setInterval(() => {}, 1000);
    if (process.argv[3] === 'idle') clearInterval(busy);
    tell(server.url);
  `;

  async function compiledProgram(): Promise<string> {
    const project = resolve(import.meta.dirname, '../..');
    const folder = await temporaryFolder();
    const options = { outDir: folder, rootDir: join(project, 'src'), incremental: false, noCheck: true };
    const typeRoots = [join(project, 'node_modules', '@types')];
    const config = {
      extends: join(project, 'tsconfig.build.json'),
      compilerOptions: { ...options, tsBuildInfoFile: null, typeRoots },
      include: [],
      files: [join(project, 'src/storage/embedded/embedded.ts')],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await symlink(join(project, 'node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await writeFile(join(folder, 'program.js'), program);
    const compiler = join(project, 'node_modules/typescript/bin/tsc');
    await execute(process.execPath, [compiler, '-p', folder]);
    return join(folder, 'program.js');
  }

  async function run(dataDirectory: string, mode = 'busy') {
    const script = await compiledProgram();
    const child: ChildProcess = spawn(process.execPath, [script, dataDirectory, mode], {
      cwd: dirname(script),
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    undo.push(async () => void child.kill('SIGKILL'));
    const lines: string[] = [];
    if (child.stdout === null) throw new Error('no output to read');
    const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
    const ended = once(child, 'exit');
    await Promise.race([once(reader, 'line'), ended]);
    const [url = ''] = lines;
    return { child, lines, ended, url, port: Number(new URL(url).port) };
  }

  test('takes the server with it when it is killed, and loses nothing that was committed', async () => {
    const folder = await temporaryFolder();
    const { child, ended, url, port } = await run(folder);
    await query(url, 'create table kept as select generate_series(1, 1000) as n');
    child.kill('SIGKILL');
    await ended;
    expect(await goesQuietWithin(10_000, port)).toBe(true);

    const next = await start(folder);
    expect(await query(next.url, 'select count(*)::int from kept')).toEqual([{ count: 1000 }]);
  });

  test('can be killed and followed by the next start at once', async () => {
    const folder = await temporaryFolder();
    const { child, url } = await run(folder);
    await query(url, 'create table kept as select 1 as one');
    child.kill('SIGKILL');
    const next = await start(folder);
    expect(await query(next.url, 'select one from kept')).toEqual([{ one: 1 }]);
  });

  test('leaves nothing half made when it is killed while it makes the cluster', async () => {
    const folder = await temporaryFolder();
    const child = spawn(process.execPath, [await compiledProgram(), folder], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const draft = /^cluster\..*/;
    while (!(await readdir(folder)).some((name) => draft.test(name))) await sleep(10);
    await sleep(100);
    child.kill('SIGKILL');
    await ended;
    expect(await readdir(folder)).toEqual([expect.stringMatching(draft)]);

    const { url } = await start(folder);
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await readdir(folder)).sort()).toEqual(['cluster', 'port', 'server.log']);
  });

  test('still has its server after Ctrl-C, until it stops it', async () => {
    const { child, lines, ended, port } = await run(await temporaryFolder());
    // A terminal sends the signal to the whole process group.
    process.kill(-(child.pid ?? Number.NaN), 'SIGINT');
    expect(await ended).toEqual([0, null]);
    expect(lines.slice(1)).toEqual(['drained', 'stopped']);
    expect(await accepts('127.0.0.1', port)).toBe(false);
  });

  test('is not kept alive by the server', async () => {
    const { ended, port } = await run(await temporaryFolder(), 'idle');
    expect(await ended).toEqual([0, null]);
    expect(await goesQuietWithin(10_000, port)).toBe(true);
  });
});
