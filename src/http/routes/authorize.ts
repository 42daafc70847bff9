import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import {
  type AccessCheck,
  type Answer,
  type Authorized,
  aboutOthers,
} from '../../services/decisions/access-check.ts';
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
    handler: (request, reply) => {
      const asking = askingOf(request, request.body);
      const { user = asking.caller.userId, permission, scope = everywhere } = request.body;
      const send = ({ answer, revision }: Authorized): void =>
        void sendText(reply, `{${membersOf(answer)},"revision":"${revision}"}`);
      const authorized = accessCheck.authorize(asking, { user, permission, scope });
      if (authorized instanceof Promise) return authorized.then(send);
      send(authorized);
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
      const { user = asking.caller.userId, scope = everywhere, checks } = request.body;
      const questions = checks.map((check) => ({
        user: check.user ?? user,
        permission: check.permission,
        scope: check.scope ?? scope,
      }));
      const { answers, revision } = await accessCheck.authorizeAll(asking, questions);
      const results = answers.map((answer) => `{${membersOf(answer)}}`).join(',');
      return sendText(reply, `{"results":[${results}],"revision":"${revision}"}`);
    },
  });
};

/** The members of a decision as JSON. Written by hand, for it is most of what is sent: slugs and reasons need no escapes. */
function membersOf({ permission, decision }: Answer): string {
  const said = `"allowed":${decision.allowed},"permission":"${permission}"`;
  return decision.allowed ? said : `${said},"reason":"${decision.reason}"`;
}

function sendText(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', 'application/json; charset=utf-8').send(text);
}
