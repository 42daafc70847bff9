import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { z } from 'zod';
import type { Roles } from '../../services/roles.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
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
      response: { 200: roleList, ...refusals() },
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
      response: { 201: roleWritten, ...refusals(409, 413, 415, 422) },
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
      response: { 200: roleAnswer, ...refusals(404) },
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
      response: { 200: roleWritten, ...refusals(404, 409, 413, 415) },
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
      response: { 200: roleDeleted, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await roles.remove(call, request.params.role);
      return sendWritten(reply, call, written, written.value);
    },
  });
};
