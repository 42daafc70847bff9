import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/storage/embedded/port.ts';

const program = '/usr/sbin/haproxy';

/** Whether Debian's package `haproxy` is there: `apt-get install -y haproxy`. */
export const hasHaproxy = existsSync(program);

export interface Haproxy {
  readonly port: number;
  /** How many requests it has handed on to the service so far. */
  handedOn(): Promise<number>;
  stop(): Promise<void>;
}

/** One that hands on everything it takes for a request to a port of this machine. */
export async function startHaproxy(servicePort: number): Promise<Haproxy> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-haproxy-'));
  const file = join(folder, 'haproxy.cfg');
  const control = join(folder, 'control');
  const port = await freePort(0);
  await writeFile(
    file,
    `global
  stats socket ${control}
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 20s
  retries 0
frontend outside
  bind 127.0.0.1:${port}
  default_backend inside
backend inside
  server service 127.0.0.1:${servicePort}
`,
  );
  const proxy = spawn(program, ['-db', '-f', file], { cwd: folder, env: {}, stdio: 'ignore' });
  const gone = once(proxy, 'exit');
  for (const deadline = Date.now() + 30_000; !existsSync(control); await sleep(50))
    if (Date.now() > deadline || proxy.exitCode !== null) throw new Error('haproxy did not start');
  return {
    port,
    async handedOn() {
      const socket = connect(control, () => socket.write('show stat\n'));
      const [names = [], ...rows] = (await text(socket)).split('\n').map((line) => line.split(','));
      const row = rows.find(([proxyName, server]) => proxyName === 'inside' && server === 'service');
      return Number(row?.[names.indexOf('stot')]);
    },
    async stop() {
      proxy.kill('SIGKILL');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
