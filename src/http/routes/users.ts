import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { Users } from '../../services/users.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { userParams, writeOnly } from '../schemas/requests.ts';
import {
  createUserBody,
  patchUserBody,
  userAnswer,
  userCreated,
  userDeleted,
  userErased,
  userList,
  usersQuery,
  userWritten,
} from '../schemas/users.ts';

/** Those whom decisions are about. */
export const userRoutes: FastifyPluginAsyncZodOpenApi<{ users: Users }> = async (app, { users }) => {
  const tags = ['Users'];

  app.route({
    method: 'GET',
    url: '/users',
    config: callersWith('rolecall_read_users', 'held'),
    schema: {
      operationId: 'listUsers',
      summary: 'Users in the order of their ids: who sees not everything, those who have something in sight',
      tags,
      querystring: usersQuery,
      response: { 200: userList, ...refusals() },
    },
    handler: (request) => users.list(callOf(request), request.query, request.query),
  });

  app.route({
    method: 'POST',
    url: '/users',
    config: callersWith('rolecall_manage_users'),
    schema: {
      operationId: 'createUser',
      summary: 'Make a user, who holds the default role if there is one',
      tags,
      querystring: writeOnly,
      body: createUserBody,
      response: { 201: userCreated, ...refusals(409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { id, email = null, active } = request.body;
      const written = await users.create(call, { id, email, active });
      const { roles, ...user } = written.value;
      return sendWritten(reply, call, written, { user, roles }, true);
    },
  });

  app.route({
    method: 'GET',
    url: '/users/:user',
    config: callersWith('rolecall_read_users', 'held'),
    schema: {
      operationId: 'getUser',
      summary: 'A user with their identities',
      tags,
      params: userParams,
      response: { 200: userAnswer, ...refusals(404) },
    },
    handler: (request) => users.get(callOf(request), request.params.user),
  });

  app.route({
    method: 'PATCH',
    url: '/users/:user',
    config: callersWith('rolecall_manage_users'),
    schema: {
      operationId: 'updateUser',
      summary: 'Change a user; deactivating denies at once and keeps every grant',
      tags,
      params: userParams,
      querystring: writeOnly,
      body: patchUserBody,
      response: { 200: userWritten, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await users.update(call, request.params.user, request.body);
      return sendWritten(reply, call, written, { user: written.value });
    },
  });

  app.route({
    method: 'DELETE',
    url: '/users/:user',
    config: callersWith('rolecall_manage_users'),
    schema: {
      operationId: 'deleteUser',
      summary: 'Delete a user and end all they hold; the record of it stays',
      tags,
      params: userParams,
      querystring: writeOnly,
      response: { 200: userDeleted, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await users.remove(call, request.params.user);
      return sendWritten(reply, call, written, written.value);
    },
  });

  app.route({
    method: 'POST',
    url: '/users/:user/erase',
    config: callersWith('rolecall_erase_users'),
    schema: {
      operationId: 'eraseUser',
      summary: 'Delete a user, or one deleted before, and all that is personal of them, for good',
      tags,
      params: userParams,
      querystring: writeOnly,
      response: { 200: userErased, ...refusals(404, 409, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await users.erase(call, request.params.user);
      return sendWritten(reply, call, written, written.value);
    },
  });
};
