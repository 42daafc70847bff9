import { environmentFor, start } from './program.ts';

/** A process of the service on a host whose clock is set while it runs. */
export interface ClockedHost {
  readonly url: string;
  /** Sets its clock so many milliseconds before or after the right time. The monotonic clock goes on as it does. */
  set(off: number): void;
  close(): Promise<void>;
}

/** What the process runs first: each line of its standard input says how far off the clock is. */
const clockOff = (off: number) => `
  let off = ${off};
  const right = Date;
  globalThis.Date = new Proxy(right, {
    construct: (_, words, as) => Reflect.construct(right, words.length ? words : [right.now() + off], as),
    apply: () => String(new Date()),
    get: (_, name) => (name === 'now' ? () => right.now() + off : right[name]),
  });
  process.stdin.setEncoding('utf8').on('data', (lines) => { off = Number(lines.trim().split('\\n').at(-1)); });`;

/** Starts one, of a release if one is named, with its clock off from the beginning. */
export async function startClockedHost(
  databaseUrl: string,
  off: number,
  variables: Readonly<Record<string, string>>,
  release?: string,
): Promise<ClockedHost> {
  const first = `--import=data:text/javascript,${encodeURIComponent(clockOff(off))}`;
  const program = start(
    ['serve'],
    environmentFor(databaseUrl, { NODE_OPTIONS: first, ...variables }),
    release === undefined ? {} : { cwd: release },
  );
  const [, url = ''] = await program.prints(/"msg":"listening on ([^"]+)"/);
  return {
    url,
    set: (next) => void program.child.stdin?.write(`${next}\n`),
    async close() {
      program.child.kill('SIGKILL');
      await program.ended();
    },
  };
}
