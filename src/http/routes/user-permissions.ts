import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { z } from 'zod';
import type { UserId } from '../../domain/ids.ts';
import {
  type AccessCheck,
  aboutOthers,
  type UserPermissions,
} from '../../services/decisions/access-check.ts';
import type { Past, PastAnswer } from '../../services/decisions/past.ts';
import { aboutOthersWith, anyCaller } from '../access.ts';
import { askingOf, sendWhenDone } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  permissionsAnswer,
  permissionsQuery,
  permissionsState,
  scopesAnswer,
  scopesQuery,
} from '../schemas/decisions.ts';
import { userParams } from '../schemas/requests.ts';

/** What a user may do, for frontends: whole, never paginated, and cheap to ask for again. */
export const userPermissionRoutes: FastifyPluginAsyncZodOpenApi<{
  accessCheck: AccessCheck;
  past: Past;
}> = async (app, { accessCheck, past }) => {
  function sendPermissions(
    request: FastifyRequest,
    query: z.output<typeof permissionsQuery>,
    reply: FastifyReply,
    user: UserId | null,
  ): void {
    const asking = askingOf(request, query);
    const { scope, at } = query;
    if (at === undefined)
      sendWhenDone(reply, accessCheck.permissionsOf(asking, user, scope), (page) =>
        sendPage(request, reply, page),
      );
    else sendWhenDone(reply, past.permissionsOf(asking, at, user, scope), (page) => sendPast(reply, page));
  }

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
    handler: (request, reply) => sendPermissions(request, request.query, reply, request.params.user),
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
      response: { 200: permissionsAnswer, ...unchanged, ...refusals(404, 409) },
    },
    handler: (request, reply) => sendPermissions(request, request.query, reply, null),
  });

  app.route({
    method: 'GET',
    url: '/users/:user/scopes',
    config: aboutOthersWith(aboutOthers.see, 'held'),
    schema: {
      operationId: 'getUserScopes',
      summary: 'Where a user holds a permission, or anything',
      tags: ['Checks'],
      params: userParams,
      querystring: scopesQuery,
      response: { 200: scopesAnswer, ...refusals(404, 409) },
    },
    handler: async (request) => {
      const { permission = null } = request.query;
      return accessCheck.scopesOf(askingOf(request, request.query), request.params.user, permission);
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
      const { permission = null } = request.query;
      const asking = askingOf(request, request.query);
      return accessCheck.scopesOf(asking, null, permission);
    },
  });
};

const jsonType = 'application/json; charset=utf-8';

/** An answer as it goes out but for its revision, and its tag. */
interface Page {
  readonly tag: string;
  /** JSON without the closing brace. */
  readonly text: string;
}

/** The service answers the same object while nothing in it changes, so each is written down once. */
const pages = new WeakMap<UserPermissions, Page>();

function pageOf(permissions: UserPermissions): Page {
  const known = pages.get(permissions);
  if (known) return known;
  const text = JSON.stringify(permissionsState.parse(permissions));
  const tag = `W/"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
  const page = { tag, text: text.slice(0, -1) };
  pages.set(permissions, page);
  return page;
}

/** The answer, or 304 if the caller has it. The tag leaves the revision out: others' changes do not move it. */
function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  { permissions, revision }: { permissions: UserPermissions; revision: string },
): void {
  const { tag, text } = pageOf(permissions);
  reply
    .header('etag', tag)
    .header('rolecall-revision', revision)
    .header('cache-control', 'private, no-cache');
  // Nothing is given back: a reply can be awaited, and whoever returns one from a promise has it awaited.
  if (knows(request.headers['if-none-match'], tag)) reply.code(304).send();
  else reply.type(jsonType).send(`${text},"revision":"${revision}"}`);
}

/** What was so once stays so, but for names that are erased: asked for seldom, it has no tag. */
function sendPast(
  reply: FastifyReply,
  { permissions, revision, at }: PastAnswer & { permissions: UserPermissions },
): void {
  const then = { revision, at: new Date(at).toISOString() };
  reply.header('rolecall-revision', revision).header('cache-control', 'private, no-cache');
  reply.type(jsonType).send(JSON.stringify({ ...permissionsState.parse(permissions), ...then }));
}

/** Weak comparison of a tag with those of an `If-None-Match` header. */
function knows(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header === tag) return true;
  const strip = (text: string) => text.trim().replace(/^W\//, '');
  return header.split(',').some((one) => one.trim() === '*' || strip(one) === strip(tag));
}
