import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { Identities } from '../../services/identities.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { userParams, writeOnly } from '../schemas/requests.ts';
import { identity, userWritten } from '../schemas/users.ts';

/** By whom a user is known at the providers of tokens. */
export const identityRoutes: FastifyPluginAsyncZodOpenApi<{ identities: Identities }> = async (
  app,
  { identities },
) => {
  app.route({
    method: 'PUT',
    url: '/users/:user/identities',
    config: callersWith('rolecall_manage_users'),
    schema: {
      operationId: 'linkIdentity',
      summary: 'Link an identity at a provider to a user',
      tags: ['Users'],
      params: userParams,
      querystring: writeOnly,
      body: identity,
      response: { 200: userWritten, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await identities.link(call, request.params.user, request.body);
      return sendWritten(reply, call, written, { user: written.value });
    },
  });

  app.route({
    method: 'DELETE',
    url: '/users/:user/identities',
    config: callersWith('rolecall_manage_users'),
    schema: {
      operationId: 'unlinkIdentity',
      summary: 'Unlink an identity from a user',
      tags: ['Users'],
      params: userParams,
      querystring: writeOnly,
      body: identity,
      response: { 200: userWritten, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await identities.unlink(call, request.params.user, request.body);
      return sendWritten(reply, call, written, { user: written.value });
    },
  });
};
