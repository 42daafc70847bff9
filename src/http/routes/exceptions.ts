import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { z } from 'zod';
import type { ExceptionRow, Exceptions } from '../../services/exceptions.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  exceptionBody,
  exceptionEnded,
  exceptionList,
  exceptionParams,
  exceptionSet,
} from '../schemas/grants.ts';
import { scopedWrite, userParams } from '../schemas/requests.ts';

/** Single permissions allowed or denied to single users. */
export const exceptionRoutes: FastifyPluginAsyncZodOpenApi<{ exceptions: Exceptions }> = async (
  app,
  { exceptions },
) => {
  app.route({
    method: 'GET',
    url: '/users/:user/exceptions',
    config: callersWith('rolecall_read_users', 'held'),
    schema: {
      operationId: 'listUserExceptions',
      summary: 'Every exception of a user, those that have not begun or have ended too',
      tags: ['Grants'],
      params: userParams,
      querystring: z.strictObject({}),
      response: { 200: exceptionList, ...refusals(404) },
    },
    handler: async (request) => ({ data: await exceptions.ofUser(callOf(request), request.params.user) }),
  });

  app.route({
    method: 'PUT',
    url: '/users/:user/permissions/:permission',
    config: callersWith('rolecall_grant_permissions', 'query'),
    schema: {
      operationId: 'setException',
      summary: 'Allow or deny one permission to one user in a scope',
      tags: ['Grants'],
      params: exceptionParams,
      querystring: scopedWrite,
      body: exceptionBody,
      response: { 200: exceptionSet, 201: exceptionSet, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { user, permission } = request.params;
      const { effect, startsAt, expiresAt, reason } = request.body;
      const terms = {
        effect,
        startsAt: startsAt ?? null,
        expiresAt: expiresAt ?? null,
        reason: reason ?? null,
      };
      const written = await exceptions.put(call, user, permission, request.query.scope, terms);
      const { created, permissions, gained, lost } = written.value;
      const made = { user, exception: written.value.exception as ExceptionRow, permissions, gained, lost };
      return sendWritten(reply, call, written, made, created);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/users/:user/permissions/:permission',
    config: callersWith('rolecall_grant_permissions', 'query'),
    schema: {
      operationId: 'endException',
      summary: 'End an exception in exactly this scope',
      tags: ['Grants'],
      params: exceptionParams,
      querystring: scopedWrite,
      response: { 200: exceptionEnded, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { user, permission } = request.params;
      const written = await exceptions.remove(call, user, permission, request.query.scope);
      const { permissions, gained, lost } = written.value;
      return sendWritten(reply, call, written, { user, permissions, gained, lost });
    },
  });
};
