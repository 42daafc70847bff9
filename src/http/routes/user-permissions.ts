import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import {
  type AccessCheck,
  aboutOthers,
  type UserPermissions,
} from '../../services/decisions/access-check.ts';
import { aboutOthersWith, anyCaller } from '../access.ts';
import { askingOf, principalOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { permissionsAnswer, permissionsQuery, scopesAnswer, scopesQuery } from '../schemas/decisions.ts';
import { userParams } from '../schemas/requests.ts';

/** What a user may do, for frontends: whole, never paginated, and cheap to ask for again. */
export const userPermissionRoutes: FastifyPluginAsyncZodOpenApi<{ accessCheck: AccessCheck }> = async (
  app,
  { accessCheck },
) => {
  const unchanged = { 304: { description: 'Not modified since the answer with this ETag' } };

  app.route({
    method: 'GET',
    url: '/users/:user/permissions',
    config: { ...aboutOthersWith(aboutOthers.see, 'query'), hot: true },
    schema: {
      operationId: 'getUserPermissions',
      summary: 'What a user may do in a scope, as slugs',
      tags: ['Checks'],
      params: userParams,
      querystring: permissionsQuery,
      response: { 200: permissionsAnswer, ...unchanged, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const { scope, atLeast } = request.query;
      const asking = askingOf(request, atLeast);
      return unlessKnown(request, reply, await accessCheck.permissionsOf(asking, request.params.user, scope));
    },
  });

  app.route({
    method: 'GET',
    url: '/me/permissions',
    config: { ...anyCaller, hot: true },
    schema: {
      operationId: 'getMyPermissions',
      summary: 'What the caller may do in a scope, as slugs',
      tags: ['Checks'],
      querystring: permissionsQuery,
      response: { 200: permissionsAnswer, ...unchanged, ...refusals(409) },
    },
    handler: async (request, reply) => {
      const { scope, atLeast } = request.query;
      const me = principalOf(request).userId;
      return unlessKnown(
        request,
        reply,
        await accessCheck.permissionsOf(askingOf(request, atLeast), me, scope),
      );
    },
  });

  app.route({
    method: 'GET',
    url: '/users/:user/scopes',
    config: aboutOthersWith(aboutOthers.see, 'everywhere'),
    schema: {
      operationId: 'getUserScopes',
      summary: 'Where a user holds a permission, or anything',
      tags: ['Checks'],
      params: userParams,
      querystring: scopesQuery,
      response: { 200: scopesAnswer, ...refusals(404, 409) },
    },
    handler: async (request) => {
      const { permission = null, atLeast } = request.query;
      return accessCheck.scopesOf(askingOf(request, atLeast), request.params.user, permission);
    },
  });

  app.route({
    method: 'GET',
    url: '/me/scopes',
    config: anyCaller,
    schema: {
      operationId: 'getMyScopes',
      summary: 'Where the caller holds a permission, or anything',
      tags: ['Checks'],
      querystring: scopesQuery,
      response: { 200: scopesAnswer, ...refusals(409) },
    },
    handler: async (request) => {
      const { permission = null, atLeast } = request.query;
      return accessCheck.scopesOf(askingOf(request, atLeast), principalOf(request).userId, permission);
    },
  });
};

/** The answer, or 304 if the caller has it. The tag leaves the revision out: others' changes do not move it. */
function unlessKnown(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: UserPermissions,
): UserPermissions | FastifyReply {
  const { revision, ...state } = answer;
  const tag = `W/"${createHash('sha256').update(JSON.stringify(state)).digest('base64url').slice(0, 27)}"`;
  reply
    .header('etag', tag)
    .header('rolecall-revision', revision)
    .header('cache-control', 'private, no-cache');
  return knows(request.headers['if-none-match'], tag) ? reply.code(304).send() : answer;
}

/** Weak comparison of a tag with those of an `If-None-Match` header. */
function knows(header: string | undefined, tag: string): boolean {
  const strip = (text: string) => text.trim().replace(/^W\//, '');
  return (header ?? '').split(',').some((one) => one.trim() === '*' || strip(one) === strip(tag));
}
