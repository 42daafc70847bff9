import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { RoleEdgeService } from '../../services/role-edges.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { ifMatchVersion, tagged } from '../preconditions.ts';
import { refusals } from '../schemas/answers.ts';
import { roleParams, writeOnly } from '../schemas/requests.ts';
import {
  edgesAnswer,
  edgesWritten,
  replaceEdgesBody,
  roleIncludeParams,
  rolePermissionParams,
} from '../schemas/roles.ts';

type Written = Awaited<ReturnType<RoleEdgeService['give']>>;

/** What a role gives by itself and which roles it includes. */
export const roleEdgeRoutes: FastifyPluginAsyncZodOpenApi<{ roleEdges: RoleEdgeService }> = async (
  app,
  { roleEdges },
) => {
  const tags = ['Roles'];

  app.route({
    method: 'GET',
    url: '/roles/:role/permissions',
    config: callersWith('rolecall_read_roles'),
    schema: {
      operationId: 'getRolePermissions',
      summary: "A role's own permissions with their origins, and the roles it includes",
      tags,
      params: roleParams,
      response: { 200: edgesAnswer, ...refusals(404) },
    },
    handler: async (request, reply) =>
      tagged(reply, await roleEdges.get(callOf(request), request.params.role)),
  });

  app.route({
    method: 'PUT',
    url: '/roles/:role/permissions',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'replaceRolePermissions',
      summary: "Make a role's own permissions exactly these; needs If-Match with the ETag of what they were",
      tags,
      params: roleParams,
      querystring: writeOnly,
      body: replaceEdgesBody,
      response: { 200: edgesWritten, ...refusals(404, 409, 412, 413, 415, 428) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const version = ifMatchVersion(request);
      return answer(
        reply,
        call,
        await roleEdges.replace(call, request.params.role, request.body.permissions, version),
      );
    },
  });

  app.route({
    method: 'PUT',
    url: '/roles/:role/permissions/:permission',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'giveRolePermission',
      summary: 'Add a permission to a role',
      tags,
      params: rolePermissionParams,
      querystring: writeOnly,
      response: { 200: edgesWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { role, permission } = request.params;
      return answer(reply, call, await roleEdges.give(call, role, permission));
    },
  });

  app.route({
    method: 'DELETE',
    url: '/roles/:role/permissions/:permission',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'withholdRolePermission',
      summary: 'Take a permission from a role, also one that the matrix gives',
      tags,
      params: rolePermissionParams,
      querystring: writeOnly,
      response: { 200: edgesWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { role, permission } = request.params;
      return answer(reply, call, await roleEdges.withhold(call, role, permission));
    },
  });

  app.route({
    method: 'PUT',
    url: '/roles/:role/includes/:other',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'includeRole',
      summary: 'Let a role include another',
      tags,
      params: roleIncludeParams,
      querystring: writeOnly,
      response: { 200: edgesWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { role, other } = request.params;
      return answer(reply, call, await roleEdges.include(call, role, other));
    },
  });

  app.route({
    method: 'DELETE',
    url: '/roles/:role/includes/:other',
    config: callersWith('rolecall_manage_roles'),
    schema: {
      operationId: 'excludeRole',
      summary: 'Let a role no longer include another',
      tags,
      params: roleIncludeParams,
      querystring: writeOnly,
      response: { 200: edgesWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { role, other } = request.params;
      return answer(reply, call, await roleEdges.exclude(call, role, other));
    },
  });
};

function answer(reply: FastifyReply, call: Parameters<typeof sendWritten>[1], written: Written) {
  return sendWritten(reply, call, written, call.dryRun ? written.value : tagged(reply, written.value));
}
