import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RequestValidationError, ResponseSerializationError } from 'fastify-zod-openapi';
import type { z } from 'zod';
import { type ErrorCode, type InputFault, RolecallError } from '../../domain/errors.ts';
import { TokenFault } from '../../domain/tokens.ts';
import { type EventLog, logFailure, logRefusedToken } from '../../observability/events.ts';
import { problemOf, problemType } from '../problem.ts';
import { logAnswered } from './access-log.ts';

/** Gives every failure, of routes that exist and routes that do not, one shape of body. */
export function addProblems(app: FastifyInstance, log: EventLog): void {
  app.setErrorHandler((error, request, reply) =>
    sendProblem(log, toProblem(error as FastifyError), request, reply),
  );
  app.setNotFoundHandler((request, reply) => {
    reply.raw.once('finish', () => logAnswered(log, request, reply, 'none'));
    return sendProblem(log, new RolecallError('route_not_found', 'there is no such route'), request, reply);
  });
}

export function sendProblem(
  log: EventLog,
  error: RolecallError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = problemOf(error, request.id);
  reply.header('x-request-id', request.id);
  if (problem.status >= 500) logFailure(log, request.id, error);
  if (error.cause instanceof TokenFault) logRefusedToken(log, request.id, error.cause.message);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="rolecall"');
  if (problem.status === 503 || problem.status === 429)
    reply.header('retry-after', String(error.retryAfter ?? 1));
  return reply
    .code(problem.status)
    .header('content-type', problemType)
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem);
}

/** What Fastify itself refuses, by its own codes; whatever else it answers 4xx with is bad input. */
const frameworkCodes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['payload_too_large', 'the body is larger than this route takes'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'bodies are application/json'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid_input', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: ['invalid_input', 'the path is not valid percent-encoded UTF-8'],
};

const badPath = {
  errors: [{ pointer: '/path', code: 'invalid_value', detail: 'not valid percent-encoded UTF-8' }],
};

export function toProblem(error: FastifyError): RolecallError {
  if (error instanceof RolecallError) return error;
  if (error.validation) return invalidInput(error);
  const known = frameworkCodes[error.code];
  if (known) return new RolecallError(known[0], known[1], error.code === 'FST_ERR_BAD_URL' ? badPath : {});
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return new RolecallError('invalid_input', 'the request is not acceptable');
  const cause = error instanceof ResponseSerializationError ? error.cause : error;
  return new RolecallError('internal', 'something went wrong inside the service', { cause });
}

const places: Readonly<Record<string, string>> = {
  body: '',
  querystring: '/query',
  params: '/path',
  headers: '/header',
};

/** Nobody reads more, and a body of nothing but faults must not be answered many times over. */
const mostFaults = 100;

function invalidInput(error: FastifyError): RolecallError {
  const place = places[error.validationContext ?? 'body'] ?? '';
  const errors = (error.validation ?? []).flatMap((fault) =>
    fault instanceof RequestValidationError ? faultsOf(fault.params.issue as z.core.$ZodIssue, place) : [],
  );
  errors.length = Math.min(errors.length, mostFaults);
  const [first] = errors;
  const detail = first ? `${first.pointer || 'the body'}: ${first.detail}` : 'the request is not valid';
  return new RolecallError('invalid_input', detail, { errors });
}

function faultsOf(issue: z.core.$ZodIssue, place: string): InputFault[] {
  const pointer = place + issue.path.map((step) => `/${escapePointer(String(step))}`).join('');
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      pointer: `${pointer}/${escapePointer(key)}`,
      code: 'unknown_member',
      detail: 'this member is not known here',
    }));
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  if (missing) return [{ pointer, code: 'missing', detail: 'this member is missing' }];
  return [{ pointer, code: issue.code === 'custom' ? 'invalid_value' : issue.code, detail: issue.message }];
}

function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}
