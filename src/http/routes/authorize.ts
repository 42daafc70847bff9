import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import { type AccessCheck, type Answer, aboutOthers } from '../../services/decisions/access-check.ts';
import type { Past, PastAnswer } from '../../services/decisions/past.ts';
import { aboutOthersWith } from '../access.ts';
import { askingOf, sendWhenDone } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { authorizeAnswer, authorizeBody, batchAnswer, batchBody } from '../schemas/decisions.ts';

/** The questions of backend services: may somebody do something, somewhere? A denial is an answer, not an error. */
export const authorizeRoutes: FastifyPluginAsyncZodOpenApi<{ accessCheck: AccessCheck; past: Past }> = async (
  app,
  { accessCheck, past },
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
    handler: (request, reply) => {
      const asking = askingOf(request, request.body);
      const { user = null, permission, scope = everywhere, at } = request.body;
      const question = { user, permission, scope };
      if (at === undefined)
        sendWhenDone(reply, accessCheck.authorize(asking, question), ({ answer, revision }) =>
          sendText(reply, `{${membersOf(answer)},"revision":"${revision}"}`),
        );
      else
        sendWhenDone(reply, past.authorizeAll(asking, at, [question]), ({ answers, ...then }) =>
          sendText(reply, `{${answers.map(membersOf)},${momentOf(then)}}`),
        );
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
    handler: async (request, reply) => {
      const asking = askingOf(request, request.body);
      const { user = null, scope = everywhere, checks, at } = request.body;
      const questions = checks.map((check) => ({
        user: check.user ?? user,
        permission: check.permission,
        scope: check.scope ?? scope,
      }));
      if (at !== undefined) {
        const { answers, ...then } = await past.authorizeAll(asking, at, questions);
        return sendText(reply, `{"results":[${answers.map(objectOf)}],${momentOf(then)}}`);
      }
      const { answers, revision } = await accessCheck.authorizeAll(asking, questions);
      const results = answers.map(objectOf).join(',');
      sendText(reply, `{"results":[${results}],"revision":"${revision}"}`);
    },
  });
};

/** The members of a decision as JSON. Written by hand, for it is most of what is sent: slugs and reasons need no escapes. */
function membersOf({ permission, decision }: Answer): string {
  const said = `"allowed":${decision.allowed},"permission":"${permission}"`;
  return decision.allowed ? said : `${said},"reason":"${decision.reason}"`;
}

function objectOf(answer: Answer): string {
  return `{${membersOf(answer)}}`;
}

function momentOf({ revision, at }: PastAnswer): string {
  return `"revision":"${revision}","at":"${new Date(at).toISOString()}"`;
}

/** Gives nothing back: a reply can be awaited, and whoever returns one from a promise has it awaited. */
function sendText(reply: FastifyReply, text: string): void {
  reply.header('content-type', 'application/json; charset=utf-8').send(text);
}
