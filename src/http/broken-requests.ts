import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type ErrorCode, RolecallError } from '../domain/errors.ts';
import { hangUpSoon, readNoFurther } from './hanging-up.ts';
import { problemOf, problemType } from './problem.ts';
import { newRequestId } from './request-ids.ts';

export const unknownEncoding = 'a body comes with a length or `chunked`';

/** By Node's code, what is said, and the part of the request that it is about. */
const refusals: Readonly<Record<string, readonly [ErrorCode, string, pointer?: string]>> = {
  HPE_INVALID_TRANSFER_ENCODING: ['invalid_input', unknownEncoding, '/header/transfer-encoding'],
  HPE_HEADER_OVERFLOW: ['payload_too_large', 'the header is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['invalid_input', 'the request did not arrive in time'],
  UNMET_EXPECTATION: ['invalid_input', '`Expect` can only be 100-continue'],
};

export const unmetExpectation = Object.assign(new Error('unmet expectation'), { code: 'UNMET_EXPECTATION' });

/** Those whose last answer is decided. */
const ending = new WeakSet<Socket>();

/**
 * Answers bytes that never became a request, with the same shape of body as everything else, and hangs up. Where a whole
 * request came before them, its own answer goes out first and is the last.
 */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  if (ending.has(socket)) return;
  ending.add(socket);
  readNoFurther(socket);
  const underWay = answerUnderWay(socket);
  if (underWay && (underWay.headersSent || underWay.req.complete)) {
    underWay.once('finish', () => {
      socket.end();
      hangUpSoon(socket);
    });
    return;
  }
  const [code, detail, pointer] = refusals[error.code ?? ''] ?? [
    'invalid_input',
    'this is not an HTTP request',
  ];
  const errors = pointer === undefined ? {} : { errors: [{ pointer, code: 'invalid_value', detail }] };
  const id = newRequestId();
  const problem = problemOf(new RolecallError(code, detail, errors), id);
  const body = JSON.stringify(problem);
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${problem.title}`,
      `content-type: ${problemType}`,
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${id}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
  // What was under way keeps its place until the connection is closed.
  hangUpSoon(socket);
}

/** Node keeps it there and asks for it itself before it answers bytes like these; it offers no other way to know. */
function answerUnderWay(socket: Socket): ServerResponse | null | undefined {
  return (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage;
}
