import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { z } from 'zod';
import type { Roles } from '../../services/roles.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { commonProblems, conflict, notFound, unprocessable } from '../schemas/answers.ts';
import { pageQuery, roleParams, writeOnly } from '../schemas/requests.ts';
import {
  createRoleBody,
  patchRoleBody,
  roleAnswer,
  roleDeleted,
  roleList,
  roleWritten,
} from '../schemas/roles.ts';

/** What is granted. */
export const roleRoutes: FastifyPluginAsyncZodOpenApi<{ roles: Roles }> = async (app, { roles }) => {
  const tags = ['Roles'];

  app.route({
    method: 'GET',
    url: '/roles',
    config: callersWith('rolecall_read_roles'),
    schema: {
      operationId: 'listRoles',
      summary: 'Roles in the order of their keys',
      tags,
      querystring: z.strictObject(pageQuery),
      response: { 200: roleList, ...commonProblems },
    },
    handler: (request) => roles.list(callOf(request), request.query),
  });

  app.route({
    method: 'POST',
    url: '/roles',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'createRole',
      summary: 'Make a role, which gives nothing yet',
      tags,
      querystring: writeOnly,
      body: createRoleBody,
      response: { 201: roleWritten, ...commonProblems, ...conflict, ...unprocessable },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await roles.create(call, request.body);
      return sendWritten(reply, call, written, { role: written.value }, true);
    },
  });

  app.route({
    method: 'GET',
    url: '/roles/:role',
    config: callersWith('rolecall_read_roles'),
    schema: {
      operationId: 'getRole',
      summary: 'A role',
      tags,
      params: roleParams,
      response: { 200: roleAnswer, ...commonProblems, ...notFound },
    },
    handler: (request) => roles.get(callOf(request), request.params.role),
  });

  app.route({
    method: 'PATCH',
    url: '/roles/:role',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'updateRole',
      summary: 'Change what a role is called',
      tags,
      params: roleParams,
      querystring: writeOnly,
      body: patchRoleBody,
      response: { 200: roleWritten, ...commonProblems, ...notFound, ...conflict },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await roles.update(call, request.params.role, request.body);
      return sendWritten(reply, call, written, { role: written.value });
    },
  });

  app.route({
    method: 'DELETE',
    url: '/roles/:role',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'deleteRole',
      summary: 'Delete a role that the matrix does not declare and end its grants; a dry run tells how many',
      tags,
      params: roleParams,
      querystring: writeOnly,
      response: { 200: roleDeleted, ...commonProblems, ...notFound, ...conflict },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await roles.remove(call, request.params.role);
      return sendWritten(reply, call, written, written.value);
    },
  });
};
