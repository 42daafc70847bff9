import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import type { Holders } from '../../services/decisions/holders.ts';
import type { PastHolders } from '../../services/decisions/past-holders.ts';
import type { Grants } from '../../services/grants.ts';
import { callersWith } from '../access.ts';
import { callOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { grantPage } from '../schemas/grants.ts';
import { permissionUsersAnswer, permissionUsersQuery, roleUsersQuery } from '../schemas/holders.ts';
import { permissionParams, roleParams } from '../schemas/requests.ts';

/** Who has a permission or a role: the other way round than a check. */
export const holderRoutes: FastifyPluginAsyncZodOpenApi<{
  holders: Holders;
  pastHolders: PastHolders;
  grants: Grants;
}> = async (app, { holders, pastHolders, grants }) => {
  app.route({
    method: 'GET',
    url: '/permissions/:permission/users',
    config: callersWith('rolecall_read_users', 'query'),
    schema: {
      operationId: 'listPermissionUsers',
      summary: 'Who may do something in a scope, and through what',
      tags: ['Checks'],
      params: permissionParams,
      querystring: permissionUsersQuery,
      response: { 200: permissionUsersAnswer, ...refusals(404, 409) },
    },
    handler: (request) => {
      const { scope, at, ...page } = request.query;
      const { permission } = request.params;
      return at === undefined
        ? holders.ofPermission(callOf(request), permission, scope, page)
        : pastHolders.ofPermission(callOf(request), at, permission, scope, page);
    },
  });

  app.route({
    method: 'GET',
    url: '/roles/:role/users',
    config: callersWith('rolecall_read_users', 'held'),
    schema: {
      operationId: 'listRoleUsers',
      summary: 'Who holds a role, directly or effectively',
      tags: ['Grants'],
      params: roleParams,
      querystring: roleUsersQuery,
      response: { 200: grantPage, ...refusals(404) },
    },
    handler: (request) => {
      const { scope, effective, ...page } = request.query;
      const { role } = request.params;
      return effective === 'true'
        ? holders.ofRole(callOf(request), role, scope ?? everywhere, page)
        : grants.ofRole(callOf(request), role, scope ?? null, page);
    },
  });
};
