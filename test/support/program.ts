import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { projectRoot } from './build.ts';
import { testJournalKey } from './runtime.ts';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `rolecall` process under way. */
export interface Program {
  readonly child: ChildProcess;
  /** Everything on stdout and stderr so far. */
  output(): Finished;
  /** Resolves with the first match in what the process prints; rejects if it ends before. */
  prints(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves when it has ended. */
  ended(): Promise<Finished>;
}

/** The environment of a `rolecall` process that works on a database; nothing of ours but the path leaks in. */
export function environmentFor(url: string, more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    DATABASE_URL: url,
    ROLECALL_JOURNAL_KEY: testJournalKey,
    PORT: '0',
    ...more,
  };
}

/** Starts the built program, or any other command of the project, with just this environment. */
export function start(
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
  { command = process.execPath, cwd = projectRoot }: { command?: string; cwd?: string } = {},
): Program {
  const program = command === process.execPath ? [`${cwd}/bin/rolecall.js`] : [];
  const child = spawn(command, [...program, ...words], { cwd, env: environment, detached: true });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  const output = () => ({ code: child.exitCode, stdout, stderr });
  return {
    child,
    output,
    async prints(pattern) {
      for (;;) {
        const found = pattern.exec(stdout + stderr);
        if (found) return found;
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`ended before it printed ${pattern}:\n${stdout}${stderr}`);
        await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), closed]);
      }
    },
    async ended() {
      await closed;
      return output();
    },
  };
}

/** Runs `rolecall` to its end. */
export function run(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<Finished> {
  return start(words, environment).ended();
}
