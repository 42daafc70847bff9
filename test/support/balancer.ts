import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/storage/embedded/port.ts';
import { long } from './long-run.ts';

const program = '/usr/sbin/haproxy';

/** Whether this machine has one (Debian: `apt-get install -y haproxy`). */
export const hasBalancer = existsSync(program);

if (!hasBalancer && long) throw new Error('the full run needs haproxy: apt-get install -y haproxy');

/** A haproxy that asks each instance's `/readyz` ten times a second and sends requests to those that are ready in turn. */
export interface Balancer {
  readonly url: string;
  /** Sends requests to the instance at this URL as soon as it is ready. */
  add(url: string): Promise<void>;
  /** `UP`, `DOWN` or how haproxy puts it. */
  stateOf(url: string): Promise<string>;
  /** Resolves when the instance is in this state. */
  untilIt(url: string, state: 'UP' | 'DOWN'): Promise<void>;
  /** Sends nothing more to the instance; resolves when everything sent has been answered. */
  drain(url: string): Promise<void>;
  stop(): Promise<void>;
}

const places = 6;

export async function startBalancer(): Promise<Balancer> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-balancer-'));
  const [port, socket, file] = [await freePort(0), join(folder, 'admin.sock'), join(folder, 'haproxy.cfg')];
  const servers = Array.from({ length: places }, (_, place) => `  server s${place} 127.0.0.1:9 disabled`);
  await writeFile(
    file,
    `global
  stats socket ${socket} mode 600 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout check 2s
  option http-server-close
  option redispatch
  default-server check inter 100ms fall 2 rise 1
frontend door
  bind 127.0.0.1:${port}
  default_backend app
backend app
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
${servers.join('\n')}
`,
  );
  const child = spawn(program, ['-db', '-f', file], { cwd: folder, env: {}, stdio: 'ignore' });
  const gone = once(child, 'exit');
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error('haproxy did not start');
    await sleep(10);
  }
  const taken: (string | undefined)[] = Array(places).fill(undefined);
  const say = (command: string) => ask(socket, command);
  const figure = async (url: string, name: string) => {
    const [head = '', ...lines] = (await say('show stat')).replace(/^# /, '').split('\n');
    const row = lines.find((line) => line.startsWith(`app,s${taken.indexOf(url)},`))?.split(',') ?? [];
    return row[head.split(',').indexOf(name)] ?? '';
  };
  const stateOf = (url: string) => figure(url, 'status');
  return {
    url: `http://127.0.0.1:${port}`,
    stateOf,
    async add(url) {
      const place = taken.indexOf(undefined);
      taken[place] = url;
      const { hostname, port: at } = new URL(url);
      await say(`set server app/s${place} addr ${hostname} port ${at}`);
      await say(`set server app/s${place} state ready`);
      await say(`enable health app/s${place}`);
    },
    async untilIt(url, state) {
      while ((await stateOf(url)) !== state) await sleep(20);
    },
    async drain(url) {
      const place = taken.indexOf(url);
      await say(`set server app/s${place} state drain`);
      while ((await figure(url, 'scur')) !== '0') await sleep(20);
      await say(`set server app/s${place} state maint`);
      taken[place] = undefined;
    },
    async stop() {
      child.kill('SIGKILL');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ask(socket: string, command: string): Promise<string> {
  const connection = connect(socket);
  connection.end(`${command}\n`);
  let answer = '';
  for await (const chunk of connection) answer += chunk;
  return answer;
}
