import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { RolecallError } from '../../domain/errors.ts';
import { covers } from '../../domain/scopes.ts';
import type { GrantBatches } from '../../services/grant-batches.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { ifMatchVersion } from '../preconditions.ts';
import { refusals } from '../schemas/answers.ts';
import { batchBody, batchDone, grantsReplaced, replaceGrantsBody } from '../schemas/grants.ts';
import { scopedWrite, userParams, writeOnly } from '../schemas/requests.ts';

const largestBatch = 8 * 1_048_576;

/** Many grants at once. */
export const grantBatchRoutes: FastifyPluginAsyncZodOpenApi<{ grantBatches: GrantBatches }> = async (
  app,
  { grantBatches },
) => {
  app.route({
    method: 'POST',
    url: '/grants/batch',
    bodyLimit: largestBatch,
    config: { ...callersWith('rolecall_grant_roles', 'body'), takesBatches: true },
    schema: {
      operationId: 'changeGrants',
      summary: 'Give and take back up to 10,000 roles in one revision, each row guarded by itself',
      tags: ['Grants'],
      querystring: writeOnly,
      body: batchBody,
      response: { 200: batchDone, ...refusals(409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { mode, changes } = request.body;
      const written = await grantBatches.apply(
        call,
        mode,
        changes.map(({ user, role, scope, ...change }) => {
          return { user, role, scope, terms: change.op === 'grant' ? termsOf(change) : null };
        }),
      );
      return sendWritten(reply, call, written, { outcomes: written.value });
    },
  });

  app.route({
    method: 'PUT',
    url: '/users/:user/roles',
    config: callersWith('rolecall_grant_roles', 'query'),
    schema: {
      operationId: 'replaceUserRoles',
      summary:
        "Make a user's grants in a scope and below exactly these; needs If-Match with the ETag of the list",
      tags: ['Grants'],
      params: userParams,
      querystring: scopedWrite,
      body: replaceGrantsBody,
      response: { 200: grantsReplaced, ...refusals(404, 409, 412, 413, 415, 428) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { scope } = request.query;
      const wanted = request.body.grants.map((grant, index) => {
        const place = grant.scope ?? scope;
        if (!covers(scope, place)) throw outside(index, scope);
        return { role: grant.role, scope: place, ...termsOf(grant) };
      });
      const version = ifMatchVersion(request);
      const written = await grantBatches.replace(call, request.params.user, scope, wanted, version);
      const { version: made, ...done } = written.value;
      if (!call.dryRun) reply.header('etag', `"${made}"`);
      return sendWritten(reply, call, written, done);
    },
  });
};

interface GivenTerms {
  readonly startsAt?: number | null | undefined;
  readonly expiresAt?: number | null | undefined;
  readonly reason?: string | null | undefined;
}

function termsOf({ startsAt = null, expiresAt = null, reason = null }: GivenTerms) {
  return { startsAt, expiresAt, reason };
}

function outside(index: number, scope: string): RolecallError {
  const pointer = `/grants/${index}/scope`;
  const detail = `not in ${scope} or below it`;
  return new RolecallError('invalid_input', `${pointer}: ${detail}`, {
    errors: [{ pointer, code: 'invalid_value', detail }],
  });
}
