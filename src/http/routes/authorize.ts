import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import { type AccessCheck, type Answer, aboutOthers } from '../../services/decisions/access-check.ts';
import { aboutOthersWith } from '../access.ts';
import { askingOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { authorizeAnswer, authorizeBody, batchAnswer, batchBody } from '../schemas/decisions.ts';

/** The questions of backend services: may somebody do something, somewhere? A denial is an answer, not an error. */
export const authorizeRoutes: FastifyPluginAsyncZodOpenApi<{ accessCheck: AccessCheck }> = async (
  app,
  { accessCheck },
) => {
  app.route({
    method: 'POST',
    url: '/authorize',
    config: { ...aboutOthersWith(aboutOthers.ask, 'body'), hot: true },
    schema: {
      operationId: 'authorize',
      summary: 'May this user do this, here, now?',
      tags: ['Checks'],
      body: authorizeBody,
      response: { 200: authorizeAnswer, ...refusals(409, 413, 415) },
    },
    handler: async (request) => {
      const asking = askingOf(request, request.body);
      const { user = asking.caller.userId, permission, scope = everywhere } = request.body;
      const { answer, revision } = await accessCheck.authorize(asking, { user, permission, scope });
      return { ...resultOf(answer), revision };
    },
  });

  app.route({
    method: 'POST',
    url: '/authorize/batch',
    config: { ...aboutOthersWith(aboutOthers.ask, 'body'), hot: true },
    schema: {
      operationId: 'authorizeBatch',
      summary: 'Up to 1,000 questions, answered in order from one snapshot',
      tags: ['Checks'],
      body: batchBody,
      response: { 200: batchAnswer, ...refusals(409, 413, 415) },
    },
    handler: async (request) => {
      const asking = askingOf(request, request.body);
      const { user = asking.caller.userId, scope = everywhere, checks } = request.body;
      const questions = checks.map((check) => ({ user, scope, ...defined(check) }));
      const { answers, revision } = await accessCheck.authorizeAll(asking, questions);
      return { results: answers.map(resultOf), revision };
    },
  });
};

function resultOf({ permission, decision }: Answer) {
  return { ...decision, permission };
}

/** Without the members that are undefined, so that they do not hide a default. */
function defined<T extends object>(members: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}
