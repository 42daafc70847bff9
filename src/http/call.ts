import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RolecallError } from '../domain/errors.ts';
import type { Principal } from '../domain/principals.ts';
import { parseRevision, type Revision } from '../domain/revisions.ts';
import { type Sight, seesNothing } from '../domain/sight.ts';
import type { Call, Written } from '../services/call.ts';
import type { Asking } from '../services/decisions/access-check.ts';
import type { Mark } from '../services/decisions/shared-read.ts';
import type { Stay } from '../services/limits.ts';

/** The name under which Fastify keeps what a request carries through its hooks. */
export const stateName = 'rolecall';

declare module 'fastify' {
  interface FastifyRequest {
    [stateName]: RequestState;
  }
}

export interface RequestState {
  /** On the process's monotonic clock, as is the deadline. */
  readonly arrivedAt: number;
  /** By when the answer is due. */
  deadline: number;
  /** Of when it had come as a whole. */
  readonly mark: Mark | undefined;
  principal?: Principal;
  /** While it counts among those under way. */
  stay?: Stay;
  /** Where the caller may look, for a route that shows what lies there. */
  sight?: Sight;
  /** The body as it came, kept only for a request with an `Idempotency-Key`. */
  bodyBytes?: Buffer;
}

export function stateOf(request: FastifyRequest): RequestState {
  return request[stateName];
}

export function principalOf(request: FastifyRequest): Principal {
  const { principal } = stateOf(request);
  if (!principal) throw new Error('the route is public and has no principal');
  return principal;
}

export function isDryRun(request: FastifyRequest): boolean {
  return (request.query as { dryRun?: 'true' | 'false' }).dryRun === 'true';
}

/** The call that a request makes, for services that read and change. */
export function callOf(request: FastifyRequest): Call {
  const caller = principalOf(request);
  return {
    caller,
    requestId: request.id,
    deadline: stateOf(request).deadline,
    sight: stateOf(request).sight ?? seesNothing,
    dryRun: isDryRun(request),
    idempotency: idempotencyOf(request, caller),
  };
}

/** What body or query say of how current an answer must be. */
interface AskedFreshness {
  readonly atLeast?: string | undefined;
  readonly freshness?: Asking['freshness'];
}

/** The same for questions about current access. */
export function askingOf(request: FastifyRequest, { atLeast, freshness }: AskedFreshness): Asking {
  return {
    caller: principalOf(request),
    deadline: stateOf(request).deadline,
    since: stateOf(request).mark,
    atLeast: atLeast === undefined ? null : revisionOf(atLeast, '`atLeast`'),
    freshness,
  };
}

/**
 * Sends what comes of some work, or its refusal. For routes that are asked thousands of times in a second, of which an
 * async handler answers 2 to 4 % fewer.
 */
export function sendWhenDone<T>(reply: FastifyReply, work: Promise<T>, send: (outcome: T) => void): void {
  work.then(send).catch((thrown: unknown) => {
    // Anything else would be sent as an answer.
    const error = thrown instanceof Error ? thrown : new Error('no error was thrown', { cause: thrown });
    reply.send(error);
  });
}

/** The revision that a part of the request names. Throws `invalid_revision`. */
export function revisionOf(text: string, part: string): Revision {
  const parsed = parseRevision(text);
  if (parsed.ok) return parsed.value;
  throw new RolecallError('invalid_revision', `${part}: ${parsed.why}`);
}

/** The body of the answer to a write, and its status: 201 where something was created. */
export function sendWritten<T extends object>(
  reply: FastifyReply,
  call: Call,
  written: Pick<Written<unknown>, 'revision' | 'changed' | 'impact'>,
  made: T,
  created = false,
) {
  reply.code(created ? 201 : 200);
  const { revision, changed, impact } = written;
  return { ...made, revision, changed, ...(call.dryRun ? { dryRun: true as const, impact } : {}) };
}

const idempotencyKeyForm = 'Idempotency-Key has 1-128 letters, digits or . _ ~ : @ / + = -';

function idempotencyOf(request: FastifyRequest, caller: Principal): Call['idempotency'] {
  const key = request.headers['idempotency-key'];
  if (request.method !== 'POST' || key === undefined) return null;
  if (typeof key !== 'string' || !/^[A-Za-z0-9._~:@/+=-]{1,128}$/.test(key))
    throw new RolecallError('invalid_input', idempotencyKeyForm, {
      errors: [{ pointer: '/header/idempotency-key', code: 'invalid_value', detail: idempotencyKeyForm }],
    });
  const fingerprint = createHash('sha256')
    .update(`${request.method} ${request.url}\n`)
    .update(stateOf(request).bodyBytes ?? '')
    .digest();
  // Whoever acts for several users repeats nothing of one for another.
  const acting = caller.through === null ? '' : ` for ${caller.userPk}`;
  return { credential: `key:${caller.credentialPk}${acting}`, key, fingerprint };
}
