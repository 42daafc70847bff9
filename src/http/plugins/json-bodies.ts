import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RolecallError } from '../../domain/errors.ts';
import { stateOf } from '../call.ts';
import { parseStrictJson } from '../strict-json.ts';

/** The only body anybody may send is strict JSON; what has no parser here is 415. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      refuseOtherEncodings(request);
      const bytes = body as Buffer;
      if (request.headers['idempotency-key'] !== undefined) stateOf(request).bodyBytes = bytes;
      // Many clients declare JSON and then send nothing.
      done(null, bytes.length === 0 ? undefined : parseStrictJson(bytes));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Throws `unsupported_media_type`: what is not plain UTF-8 is read differently by whoever stands in between. */
function refuseOtherEncodings({ headers }: FastifyRequest): void {
  if (headers['content-type'] === 'application/json' && headers['content-encoding'] === undefined) return;
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1];
  const isPacked = !/^(identity)?$/i.test(headers['content-encoding'] ?? '');
  if (isPacked || !/^(utf-8)?$/i.test(charset ?? ''))
    throw new RolecallError('unsupported_media_type', 'bodies are application/json in UTF-8, not packed');
}
