import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerAccount } from './account.ts';

/**
 * The program of the child process that runs the server. Its standard input is a pipe from us that carries nothing:
 * the system closes it when we end, however that happens, and then the server is asked to stop, ever less politely.
 * It is text, because Node 20 runs no TypeScript and this must work both compiled and not.
 */
const program = `
import { spawn } from 'node:child_process';
const { binary, pgCtl, args, options } = JSON.parse(process.argv[1]);
const server = spawn(binary, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
server.once('error', (error) => {
  process.stderr.write(error.message);
  process.exit(1);
});
server.once('exit', (code) => process.exit(code ?? 1));

const send = process.platform === 'win32'
  ? (signal) => spawn(pgCtl, ['kill', signal, String(server.pid)], { windowsHide: true }).once('error', () => server.kill())
  : (signal) => server.kill('SIG' + signal);
let stopping = false;
const stop = () => {
  if (stopping) return;
  stopping = true;
  send('INT');
  setTimeout(send, 8000, 'QUIT');
  setTimeout(() => server.kill('SIGKILL'), 16000);
};
for (const end of ['end', 'close', 'error']) process.stdin.on(end, stop);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
process.stdin.resume();
`;

export interface SupervisedServer {
  /** Settles when the server is gone, for whatever reason; never rejects. */
  readonly gone: Promise<void>;
  /** Asks the server to stop and resolves when it is gone. */
  stop(): Promise<void>;
  /** From now on the caller's process may end without waiting for the server, which then stops by itself. */
  letGo(): void;
}

/** Runs `postgres` with these arguments until it is stopped or this process ends. Its output goes to the log file. */
export function superviseServer(
  binaries: string,
  args: readonly string[],
  account: ServerAccount | undefined,
  logFile: string,
): SupervisedServer {
  const options = { ...account, cwd: '/', env: {}, windowsHide: true };
  const order = { binary: join(binaries, 'postgres'), pgCtl: join(binaries, 'pg_ctl'), args, options };
  const log = openSync(logFile, 'a', 0o600);
  const supervisor = spawn(
    process.execPath,
    ['--input-type=module', '--eval', program, JSON.stringify(order)],
    // In a process group of its own, Ctrl-C in the terminal does not stop the server under a caller that still
    // answers its last requests. The empty environment keeps PGPORT, NODE_OPTIONS and the like out.
    { stdio: ['pipe', log, log], detached: true, env: {}, cwd: '/', windowsHide: true },
  );
  closeSync(log);

  const gone = new Promise<void>((resolve) => {
    supervisor.once('exit', () => resolve());
    supervisor.once('error', (error) => {
      appendFileSync(logFile, error.message);
      resolve();
    });
  });
  supervisor.stdin?.on('error', () => undefined);
  return {
    gone,
    stop() {
      supervisor.ref();
      supervisor.stdin?.destroy();
      return gone;
    },
    letGo: () => supervisor.unref(),
  };
}
