import { connect } from 'node:net';
import type { Answer } from '../contract.ts';
import type { Request } from './requests.ts';

/** One answer as it came over a socket. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface Exchange {
  /** Final answers in their order, without those that only say to go on. */
  readonly answers: readonly RawAnswer[];
  /** What came after the last whole answer. */
  readonly rest: string;
  /** Whether the other side hung up. */
  readonly isClosed: boolean;
}

/**
 * Sends bytes as they are and takes what is answered until the other side hangs up. When it has said nothing for
 * `patience` milliseconds it is told that no more will come, and soon after that it is given up.
 */
export function exchange(port: number, bytes: Buffer, patience: number): Promise<Exchange> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    let isClosed = true;
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(bytes));
    socket.setTimeout(patience).on('timeout', () => {
      isClosed = !socket.writableEnded;
      if (isClosed) socket.setTimeout(patience).end();
      else socket.destroy();
    });
    socket.on('data', (part) => void received.push(part));
    // Who refuses before everything was read hangs up on the rest of it.
    socket.on('error', () => {});
    socket.on('close', () => resolve({ ...answersIn(Buffer.concat(received).toString('latin1')), isClosed }));
  });
}

/** The same as the shared checks look at answers. */
export function answerOf({ status, headers, text }: RawAnswer): Answer {
  return { status, headers, text, body: text.startsWith('{') ? JSON.parse(text) : {} };
}

/** A request as bytes, with a length if it has a body. */
export function bytesOf({ method, target, headers, body }: Request, more: readonly string[] = []): Buffer {
  const length = body ? [`content-length: ${body.length}`] : [];
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`${method} ${target} HTTP/1.1`, 'host: x', ...fields, ...length, ...more, '', ''].join(
    '\r\n',
  );
  return Buffer.concat([Buffer.from(head, 'latin1'), body ?? Buffer.alloc(0)]);
}

function answersIn(received: string): { answers: RawAnswer[]; rest: string } {
  const answers: RawAnswer[] = [];
  let rest = received;
  for (;;) {
    const head = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest);
    if (!head) return { answers, rest };
    const status = Number(head[1]);
    const fields = (head[2] ?? '').split('\r\n').map((line) => line.split(/: ?(.*)/s));
    const headers = Object.fromEntries(fields.map(([name = '', value = '']) => [name.toLowerCase(), value]));
    const after = rest.slice(head[0].length);
    const length = Number(headers['content-length'] ?? 0);
    // An answer to HEAD states the length of a body that does not come, and is the last of its connection.
    const text = after.slice(0, length);
    rest = after.slice(length);
    if (status >= 200) answers.push({ status, headers, text: Buffer.from(text, 'latin1').toString('utf8') });
  }
}
