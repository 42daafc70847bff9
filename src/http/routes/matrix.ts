import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { builtinLayer } from '../../domain/matrix/builtin.ts';
import { parseMatrixFiles } from '../../domain/matrix/parse.ts';
import type { Matrix } from '../../services/matrix/matrix.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { applyAnswer, applyBody, matrixAnswer, planAnswer, planBody, planOut } from '../schemas/matrix.ts';
import { writeOnly } from '../schemas/requests.ts';

/** Roles and permissions as code: what they are, what files would make of them, and making it so. */
export const matrixRoutes: FastifyPluginAsyncZodOpenApi<{ matrix: Matrix }> = async (app, { matrix }) => {
  const tags = ['Matrix'];

  app.route({
    method: 'GET',
    url: '/matrix',
    config: callersWith('rolecall_read_roles'),
    schema: {
      operationId: 'getMatrix',
      summary: 'Roles and permissions as they are, with the origins of every edge',
      tags,
      response: { 200: matrixAnswer, ...refusals() },
    },
    handler: (request) => matrix.state(callOf(request)),
  });

  app.route({
    method: 'POST',
    url: '/matrix/plan',
    config: callersWith('rolecall_manage_matrix'),
    schema: {
      operationId: 'planMatrix',
      summary: 'What applying files would change, and who would gain and lose what; changes nothing',
      tags,
      body: planBody,
      response: { 200: planAnswer, ...refusals(409, 413, 415, 422) },
    },
    handler: async (request) => {
      const { files, accept } = request.body;
      return planOut(
        await matrix.plan(callOf(request), { ...parseMatrixFiles(files, builtinLayer), accept }),
      );
    },
  });

  app.route({
    method: 'POST',
    url: '/matrix/apply',
    config: callersWith('rolecall_manage_matrix'),
    schema: {
      operationId: 'applyMatrix',
      summary: 'Make roles and permissions what files say; needs everything that is given or taken',
      tags,
      querystring: writeOnly,
      body: applyBody,
      response: { 200: applyAnswer, ...refusals(409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { files, ...terms } = request.body;
      const { layers, acknowledged } = parseMatrixFiles(files, builtinLayer);
      const written = await matrix.apply(call, layers, { ...terms, acknowledged });
      return sendWritten(reply, call, written, planOut(written.value));
    },
  });
};
