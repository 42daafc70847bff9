import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { serverAccount } from '../../src/storage/embedded/account.ts';
import { freePort } from '../../src/storage/embedded/port.ts';
import { long } from './long-run.ts';

const program = '/usr/sbin/pgbouncer';

/** Whether this machine has one (Debian: `apt-get install -y pgbouncer`). */
export const hasPgbouncer = existsSync(program);

if (!hasPgbouncer && long) throw new Error('the full run needs pgbouncer: apt-get install -y pgbouncer');

export interface Pooler {
  readonly url: string;
  stop(): Promise<void>;
}

/** A pgbouncer before the database at this URL, whoever comes being the user of that URL, with few connections to it. */
export async function startPgbouncer(
  target: string,
  {
    mode = 'transaction',
    connections = 5,
  }: { readonly mode?: 'session' | 'transaction'; readonly connections?: number } = {},
): Promise<Pooler> {
  const account = await serverAccount();
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-pgbouncer-'));
  const server = new URL(target);
  const port = await freePort(0);
  const name = server.pathname.slice(1);
  const password = server.password === '' ? '' : ` password=${decodeURIComponent(server.password)}`;
  const settings = [
    '[databases]',
    `${name} = host=${server.hostname} port=${server.port} dbname=${name} user=${server.username}${password}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    `default_pool_size = ${connections}`,
    'ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout,plan_cache_mode',
  ];
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(file, settings.join('\n'), { mode: 0o644 });
  if (account) for (const path of [folder, file]) await chown(path, account.uid, account.gid);
  const child = spawn(program, ['-q', file], { ...account, cwd: folder, env: {}, stdio: 'ignore' });
  const gone = once(child, 'exit');
  const url = new URL(target);
  // Debian's does not know prepared statements.
  url.searchParams.set('prepare', 'false');
  url.host = `127.0.0.1:${port}`;
  await untilItAnswers(url.href, child);
  return {
    url: url.href,
    async stop() {
      child.kill('SIGKILL');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(url: string, pooler: ChildProcess): Promise<void> {
  while (pooler.exitCode === null) {
    const sql = postgres(url, {
      max: 1,
      prepare: false,
      fetch_types: false,
      connect_timeout: 2,
      onnotice: () => {},
    });
    const answers = await sql`select 1`.then(
      () => true,
      () => false,
    );
    await sql.end({ timeout: 1 });
    if (answers) return;
  }
  throw new Error('pgbouncer did not start');
}
