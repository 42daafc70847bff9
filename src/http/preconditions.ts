import type { FastifyReply, FastifyRequest } from 'fastify';
import { RolecallError } from '../domain/errors.ts';

/** Says of which version an answer is, in the `ETag` that `If-Match` takes back. */
export function tagged<T extends { readonly version: string }>(reply: FastifyReply, versioned: T): T {
  reply.header('etag', `"${versioned.version}"`);
  return versioned;
}

/** The version that a change is meant for. Throws `precondition_required` if it names none, or `precondition_failed`. */
export function ifMatchVersion(request: FastifyRequest): string {
  const header = request.headers['if-match'];
  if (header === undefined)
    throw new RolecallError('precondition_required', 'this needs If-Match with the ETag of what is changed');
  const [, version] = /^"([^"]*)"$/.exec(header.trim()) ?? [];
  if (version === undefined)
    throw new RolecallError(
      'precondition_failed',
      'If-Match takes one strong ETag, as the last answer gave it',
    );
  return version;
}
