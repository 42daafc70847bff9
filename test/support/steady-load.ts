/** Sends prepared requests over connections that are kept alive, as fast as they are answered or at a rate. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

export interface Prepared {
  readonly bytes: Buffer;
  /** What an answer with status 200 must contain. */
  readonly due: string;
}

/** What came since it was last asked for. */
export interface Came {
  /** By status; 0 for a connection that ended without an answer. */
  readonly statuses: Readonly<Record<number, number>>;
  readonly wrong: number;
  /** Milliseconds of each answer with status 200. */
  readonly latencies: readonly number[];
  readonly seconds: number;
}

export interface SteadyLoad {
  take(): Came;
  end(): Promise<void>;
}

/** A question about one user, by one key, as it goes over the wire. */
export function preparedCheck(key: string, question: object, isAllowed: boolean): Prepared {
  const body = JSON.stringify(question);
  const head = `POST /authorize HTTP/1.1\r\nhost: rolecall\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json`;
  const bytes = Buffer.from(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  return { bytes, due: `"allowed":${isAllowed}` };
}

/** `rate` is answers in a second of all connections together; as many as come if it is left out. */
export function startLoad(
  url: string,
  prepared: readonly Prepared[],
  { connections, rate }: { readonly connections: number; readonly rate?: number },
): SteadyLoad {
  let isOn = true;
  let since = performance.now();
  let seen = nothing();

  async function converse(first: number): Promise<void> {
    let socket = await open(url);
    let due = performance.now() + (rate ? (first / rate) * 1_000 : 0);
    for (let place = first; isOn; place += connections) {
      const wait = due - performance.now();
      if (rate && wait > 1) await pause(wait);
      const { bytes, due: text } = prepared[place % prepared.length] as Prepared;
      const begun = performance.now();
      socket.write(bytes);
      const answer = await answerOn(socket);
      const status = Number(answer.slice(9, 12));
      seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
      if (status === 200) {
        seen.latencies.push(performance.now() - begun);
        if (!answer.includes(text)) seen.wrong += 1;
      }
      if (status === 0 && isOn) socket = await open(url);
      // Behind its time it does not make up for more than a second.
      if (rate) due = Math.max(due + (connections / rate) * 1_000, performance.now() - 1_000);
    }
    socket.destroy();
  }

  const running = Promise.all(Array.from({ length: connections }, (_, first) => converse(first)));
  return {
    take() {
      const now = performance.now();
      const came = { ...seen, seconds: (now - since) / 1_000 };
      [seen, since] = [nothing(), now];
      return came;
    },
    async end() {
      isOn = false;
      await running;
    },
  };
}

const nothing = () => ({ statuses: {} as Record<number, number>, wrong: 0, latencies: [] as number[] });

async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true }).setEncoding('latin1');
  socket.on('error', () => {});
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

/** The next answer as text; empty if the connection ended before it was whole. */
function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const settle = (answer: string) => {
      socket.off('data', take).off('close', end);
      resolve(answer);
    };
    const take = (piece: string) => {
      text += piece;
      const head = text.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length >= head + 4 + length) settle(text);
    };
    const end = () => settle('');
    socket.on('data', take).on('close', end);
    if (socket.destroyed) end();
  });
}
