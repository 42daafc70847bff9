import type { FastifyInstance } from 'fastify';
import { stateOf } from '../call.ts';
import { parseStrictJson } from '../strict-json.ts';

/** The only body anybody may send is strict JSON; what has no parser here is 415. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const bytes = body as Buffer;
      if (request.headers['idempotency-key'] !== undefined) stateOf(request).bodyBytes = bytes;
      // Many clients declare JSON and then send nothing.
      done(null, bytes.length === 0 ? undefined : parseStrictJson(bytes));
    } catch (error) {
      done(error as Error);
    }
  });
}
