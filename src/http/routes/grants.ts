import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { GrantRow, Grants } from '../../services/grants.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  grantBody,
  grantGiven,
  grantList,
  grantParams,
  grantRevoked,
  userGrantsQuery,
} from '../schemas/grants.ts';
import { scopedWrite, userParams } from '../schemas/requests.ts';

/** Roles given to users. */
export const grantRoutes: FastifyPluginAsyncZodOpenApi<{ grants: Grants }> = async (app, { grants }) => {
  app.route({
    method: 'GET',
    url: '/users/:user/roles',
    config: callersWith('rolecall_read_users', 'held'),
    schema: {
      operationId: 'listUserRoles',
      summary: 'Every grant of a user in a scope and below, those that have not begun or have ended too',
      tags: ['Grants'],
      params: userParams,
      querystring: userGrantsQuery,
      response: { 200: grantList, ...refusals(404) },
    },
    handler: async (request, reply) => {
      const found = await grants.ofUser(callOf(request), request.params.user, request.query.scope);
      reply.header('etag', `"${found.version}"`);
      return { data: found.grants };
    },
  });

  app.route({
    method: 'PUT',
    url: '/users/:user/roles/:role',
    config: callersWith('rolecall_grant_roles', 'query'),
    schema: {
      operationId: 'grantRole',
      summary: 'Give a user a role in a scope, or give that grant new terms',
      tags: ['Grants'],
      params: grantParams,
      querystring: scopedWrite,
      body: grantBody,
      response: { 200: grantGiven, 201: grantGiven, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { user, role } = request.params;
      const { startsAt = null, expiresAt = null, reason = null } = request.body ?? {};
      const written = await grants.put(call, user, role, request.query.scope, {
        startsAt,
        expiresAt,
        reason,
      });
      const { created, permissions, gained, lost } = written.value;
      const made = { user, grant: written.value.grant as GrantRow, permissions, gained, lost };
      return sendWritten(reply, call, written, made, created);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/users/:user/roles/:role',
    config: callersWith('rolecall_grant_roles', 'query'),
    schema: {
      operationId: 'revokeRole',
      summary: 'Take a role back in exactly this scope',
      tags: ['Grants'],
      params: grantParams,
      querystring: scopedWrite,
      response: { 200: grantRevoked, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { user, role } = request.params;
      const written = await grants.remove(call, user, role, request.query.scope);
      const { permissions, gained, lost } = written.value;
      return sendWritten(reply, call, written, { user, permissions, gained, lost });
    },
  });
};
