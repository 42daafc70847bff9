import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { type InputFault, RolecallError } from '../../domain/errors.ts';
import { answerBrokenRequest, unknownEncoding, unmetExpectation } from '../broken-requests.ts';

/**
 * Refuses a request that somebody on its way may have cut out of the stream differently, and hangs up: what follows it on
 * the connection may be a part of it. Node's parser has refused the rest before.
 */
export function addFraming(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw }, reply, done) => {
    const fault = faultOf(raw);
    if (!fault) return done();
    reply.header('connection', 'close');
    done(new RolecallError('invalid_input', fault.detail, { errors: [fault] }));
  });

  app.server.on('checkExpectation', (request: IncomingMessage) =>
    answerBrokenRequest(unmetExpectation, request.socket),
  );
}

function faultOf({ headers, method, httpVersion }: IncomingMessage): InputFault | undefined {
  // Without a version it would be answered like any other, though its client expects no head.
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return { pointer: '', code: 'invalid_value', detail: 'this service speaks HTTP/1.1' };
  const encoding = headers['transfer-encoding'];
  // Where it does not end in `chunked`, Node's parser says so itself.
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked')
    return fault('transfer-encoding', unknownEncoding);
  if (method === 'GET' && (encoding !== undefined || (headers['content-length'] ?? '0') !== '0'))
    return fault('content-length', 'a GET has no body');
  // A second one is joined to the first by a comma.
  if (headers.host === undefined ? httpVersion !== '1.0' : headers.host.includes(','))
    return fault('host', 'a request names one host');
  return undefined;
}

function fault(header: string, detail: string): InputFault {
  return { pointer: `/header/${header}`, code: 'invalid_value', detail };
}
