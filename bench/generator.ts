/**
 * The load generator, in a process of its own. Sends prepared bytes over connections that are kept alive, one request
 * at a time on each, and checks every answer's status. It is our own because it shares a core with PostgreSQL: it takes
 * about half the processor time of autocannon, counts a connection that the server closes as a failure, and tells
 * latencies finer than a millisecond.
 */
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Job, JobResult } from './load.ts';

const headEnd = Buffer.from('\r\n\r\n');
const longestDrainMs = 10_000;

async function perform(job: Job): Promise<JobResult> {
  const { hostname, port } = new URL(job.url);
  const requests = job.requests.map((text) => Buffer.from(text));
  const latencies: number[] = [];
  const failures: string[] = [];
  const sockets: Socket[] = [];
  const connections = Math.min(job.connections, requests.length);
  let failed = 0;
  let open = true;

  const fail = (what: string) => {
    failed += 1;
    if (failures.length < 3) failures.push(what);
  };

  /** One connection: takes every n-th request, so that no two connections ask the same thing at once. */
  async function converse(first: number): Promise<() => Promise<void>> {
    const answer = new AnswerReader();
    let settle: (isWhole: boolean) => void = () => {};
    const buffer = Buffer.allocUnsafe(65_536);
    const callback = (length: number) => {
      if (answer.take(buffer.subarray(0, length))) settle(true);
      return true;
    };
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { buffer, callback },
    });
    socket.on('close', () => settle(false)).on('error', (error) => fail(error.message));
    sockets.push(socket);
    await connected(socket);
    return async () => {
      for (let place = first; open; place += connections) {
        if (place >= requests.length && !job.repeat) break;
        const sentAt = performance.now();
        const answered = new Promise<boolean>((resolve) => {
          settle = resolve;
        });
        socket.write(requests[place % requests.length] as Buffer);
        if (!(await answered)) {
          fail('the connection was closed before the answer was whole');
          break;
        }
        if (answer.status !== job.expect) fail(answer.beginning);
        else if (open) latencies.push(performance.now() - sentAt);
      }
      socket.destroy();
    };
  }

  const conversations = await Promise.all(Array.from({ length: connections }, (_, first) => converse(first)));
  const start = performance.now();
  let elapsedMs = 0;
  const close = () => {
    if (open) elapsedMs = performance.now() - start;
    open = false;
  };
  const stop = setTimeout(close, job.seconds * 1_000);
  const hangUp = () => sockets.forEach((socket) => void socket.destroy());
  const patience = setTimeout(hangUp, job.seconds * 1_000 + longestDrainMs);
  await Promise.all(conversations.map((conversation) => conversation()));
  close();
  clearTimeout(stop);
  clearTimeout(patience);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { answers: latencies.length, elapsedMs, p50: at(0.5), p99: at(0.99), failed, failures };
}

/** Puts an answer together from its pieces. */
class AnswerReader {
  status = 0;
  beginning = '';
  #head: Buffer | undefined;
  #missing = 0;

  /** True when the answer is whole. */
  take(piece: Buffer): boolean {
    if (this.#missing > 0) {
      this.#missing -= piece.length;
      return this.#missing <= 0;
    }
    const read = this.#head === undefined ? piece : Buffer.concat([this.#head, piece]);
    const end = read.indexOf(headEnd);
    if (end === -1) {
      this.#head = Buffer.from(read);
      return false;
    }
    this.#head = undefined;
    this.beginning = read.toString('latin1', 0, 600);
    this.status = Number(this.beginning.slice(9, 12));
    const length = this.status === 304 ? '0' : /content-length: (\d+)/i.exec(this.beginning)?.[1];
    if (length === undefined) this.status = Number.NaN;
    this.#missing = end + headEnd.length + Number(length ?? 0) - read.length;
    return this.#missing <= 0;
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
}

process.on('message', async (job: Job) => {
  const nothing = { answers: 0, elapsedMs: 0, p50: Number.NaN, p99: Number.NaN, failed: 1 };
  process.send?.(await perform(job).catch((error) => ({ ...nothing, failures: [String(error)] })));
});
