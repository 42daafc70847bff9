import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Cores, projectRoot } from './host.ts';

/** A process under measurement. */
export interface Measured {
  /** Processor time used so far, in milliseconds; undefined where the system does not tell. */
  cpuMs(): number | undefined;
  stop(): Promise<void>;
}

/** One that listens. */
export interface Server extends Measured {
  readonly url: string;
  /** Resident memory in megabytes. */
  residentMb(): number;
  /** Sends a signal, and resolves when the process has printed `answer`. */
  tell(signal: NodeJS.Signals, answer: string): Promise<void>;
}

/** One that is asked by messages and answers each with one. */
export interface Worker extends Measured {
  ask<Answer>(message: object): Promise<Answer>;
}

export type Program = readonly [script: string, ...words: string[]];

/** The path of a program of the bench, by its file beside this one. */
export function benchProgram(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

/** Starts a program that says `listening on <url>`. Rejects with what it printed if it ends before. */
export async function startServer(
  program: Program,
  environment: NodeJS.ProcessEnv,
  cores: Cores | undefined,
): Promise<Server> {
  const [command = '', ...words] = [...onMeasuredCore(cores), process.execPath, ...program];
  const child = spawn(command, words, {
    cwd: projectRoot,
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const remember = (text: string) => {
    printed = (printed + text).slice(-4_000);
  };
  child.stdout.setEncoding('utf8').on('data', remember);
  child.stderr.setEncoding('utf8').on('data', remember);
  const ended = once(child, 'exit');
  const prints = async (text: RegExp): Promise<string> => {
    for (;;) {
      const found = text.exec(printed)?.[1];
      if (found !== undefined) return found;
      if (hasEnded(child)) throw new Error(`${program[0]} ended:\n${printed}`);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
  };
  const url = await prints(/listening on ([^"\s]+)/);
  return {
    url,
    residentMb: () => residentMbOf(child),
    async tell(signal, answer) {
      printed = '';
      child.kill(signal);
      await prints(new RegExp(`(${answer})`));
    },
    ...measured(child),
  };
}

/** Forks a program of the bench that answers messages, on the measured core or, without `cores`, on this process's. */
export function startWorker(program: Program, cores?: Cores | undefined): Worker {
  const [script, ...words] = program;
  const [command, ...pin] = onMeasuredCore(cores);
  const child = fork(script, words, {
    ...(command === undefined ? {} : { execPath: command, execArgv: [...pin, process.execPath] }),
    serialization: 'advanced',
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${script} ended with ${code}`);
  });
  ended.catch(() => {});
  return {
    async ask<Answer>(message: object) {
      child.send(message);
      const [answer] = (await Promise.race([once(child, 'message'), ended])) as [Answer];
      return answer;
    },
    ...measured(child),
  };
}

function onMeasuredCore(cores: Cores | undefined): string[] {
  return cores ? ['taskset', '-c', cores.measured] : [];
}

function measured(child: ChildProcess): Measured {
  return {
    cpuMs: () => cpuMsOf(child),
    async stop() {
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

const tickMs = 10;

function cpuMsOf(child: ChildProcess): number | undefined {
  const file = `/proc/${child.pid}/stat`;
  if (!existsSync(file)) return undefined;
  // The name of the program, which may hold anything, ends with the last parenthesis; user and system time follow.
  const fields = readFileSync(file, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

function residentMbOf(child: ChildProcess): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}
