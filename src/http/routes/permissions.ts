import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { PermissionRow, Permissions, RegisteredPermission } from '../../services/permissions.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  describeBody,
  permissionAnswer,
  permissionList,
  permissionsListQuery,
  permissionsRegistered,
  permissionWritten,
  registerBatchBody,
  registerBody,
} from '../schemas/permissions.ts';
import { permissionParams, writeOnly } from '../schemas/requests.ts';

/** The catalogue of what can be allowed. */
export const permissionRoutes: FastifyPluginAsyncZodOpenApi<{ permissions: Permissions }> = async (
  app,
  { permissions },
) => {
  const tags = ['Permissions'];

  app.route({
    method: 'GET',
    url: '/permissions',
    config: callersWith('rolecall_read_permissions'),
    schema: {
      operationId: 'listPermissions',
      summary: 'Permissions in the order of their slugs',
      tags,
      querystring: permissionsListQuery,
      response: { 200: permissionList, ...refusals() },
    },
    handler: async (request) => {
      const { data, nextCursor } = await permissions.list(callOf(request), request.query, request.query);
      return { data: data.map(shown), nextCursor };
    },
  });

  app.route({
    method: 'POST',
    url: '/permissions',
    config: callersWith('rolecall_manage_permissions'),
    schema: {
      operationId: 'registerPermission',
      summary: 'Register a permission; one that exists stays as it is',
      tags,
      querystring: writeOnly,
      body: registerBody,
      response: {
        200: permissionWritten,
        201: permissionWritten,
        ...refusals(409, 413, 415, 422),
      },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { permission, description } = request.body;
      const written = await permissions.register(call, [
        { ...permission, description, pointer: '/permission' },
      ]);
      const [registered] = written.value as [RegisteredPermission];
      return sendWritten(reply, call, written, { permission: shown(registered) }, registered.created);
    },
  });

  app.route({
    method: 'POST',
    url: '/permissions/batch',
    config: callersWith('rolecall_manage_permissions'),
    schema: {
      operationId: 'registerPermissions',
      summary: 'A service registers what it needs: a union, all or nothing, never removes',
      tags,
      querystring: writeOnly,
      body: registerBatchBody,
      response: { 200: permissionsRegistered, ...refusals(409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const wanted = request.body.permissions.map(({ permission, description }, index) => ({
        ...permission,
        description,
        pointer: `/permissions/${index}/permission`,
      }));
      const written = await permissions.register(call, wanted);
      const created = written.value.filter((permission) => permission.created).map(({ slug }) => slug);
      return sendWritten(reply, call, written, { permissions: written.value.map(shown), created });
    },
  });

  app.route({
    method: 'GET',
    url: '/permissions/:permission',
    config: callersWith('rolecall_read_permissions'),
    schema: {
      operationId: 'getPermission',
      summary: 'A permission, be it retired',
      tags,
      params: permissionParams,
      response: { 200: permissionAnswer, ...refusals(404) },
    },
    handler: async (request) => shown(await permissions.get(callOf(request), request.params.permission)),
  });

  app.route({
    method: 'PATCH',
    url: '/permissions/:permission',
    config: callersWith('rolecall_manage_permissions'),
    schema: {
      operationId: 'describePermission',
      summary: 'Change what a permission says it is for',
      tags,
      params: permissionParams,
      querystring: writeOnly,
      body: describeBody,
      response: { 200: permissionWritten, ...refusals(404, 409, 413, 415) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await permissions.describe(call, request.params.permission, request.body.description);
      return sendWritten(reply, call, written, { permission: shown(written.value) });
    },
  });

  app.route({
    method: 'DELETE',
    url: '/permissions/:permission',
    config: callersWith('rolecall_manage_permissions'),
    schema: {
      operationId: 'retirePermission',
      summary: 'Retire a permission: it is allowed to nobody, and its slug stays reserved',
      tags,
      params: permissionParams,
      querystring: writeOnly,
      response: { 200: permissionWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await permissions.retire(call, request.params.permission);
      return sendWritten(reply, call, written, { permission: shown(written.value) });
    },
  });
};

/** On the wire a permission goes by its slug. */
function shown({ slug, ...rest }: PermissionRow) {
  return { ...rest, permission: slug };
}
