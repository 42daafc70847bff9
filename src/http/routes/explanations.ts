import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { type Explanations, seeWhy } from '../../services/decisions/explanations.ts';
import { aboutOthersWith } from '../access.ts';
import { askingOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { explanationAnswer, explanationQuery } from '../schemas/explanations.ts';
import { userParams } from '../schemas/requests.ts';

/** Why the answer to a check is what it is. */
export const explanationRoutes: FastifyPluginAsyncZodOpenApi<{ explanations: Explanations }> = async (
  app,
  { explanations },
) => {
  app.route({
    method: 'GET',
    url: '/users/:user/explain',
    config: aboutOthersWith(seeWhy, 'query'),
    schema: {
      operationId: 'explainDecision',
      summary: 'Why a user may or may not do something in a scope',
      tags: ['Checks'],
      params: userParams,
      querystring: explanationQuery,
      response: { 200: explanationAnswer, ...refusals(404, 409) },
    },
    handler: async (request) => {
      const { user } = request.params;
      const { permission, scope, at } = request.query;
      const about = { user, permission, scope };
      const explained = await explanations.of(askingOf(request, request.query), about, at);
      const { decision, changesAt, paths, exceptions, nearest, revision } = explained;
      return {
        user,
        permission,
        scope,
        ...decision,
        changesAt,
        paths: paths.shown,
        pathsLeftOut: paths.leftOut,
        exceptions: exceptions.shown,
        exceptionsLeftOut: exceptions.leftOut,
        ...(nearest && { nearestRoles: nearest.shown, nearestRolesLeftOut: nearest.leftOut }),
        revision,
        ...(explained.at !== undefined && { at: explained.at }),
      };
    },
  });
};
