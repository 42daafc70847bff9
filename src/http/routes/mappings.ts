import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import type { Mappings } from '../../services/mappings.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  createMappingBody,
  mappingList,
  mappingParams,
  mappingsQuery,
  mappingWritten,
} from '../schemas/mappings.ts';
import { writeOnly } from '../schemas/requests.ts';

/** What claims of tokens give. */
export const mappingRoutes: FastifyPluginAsyncZodOpenApi<{ mappings: Mappings }> = async (
  app,
  { mappings },
) => {
  const tags = ['Mappings'];

  app.route({
    method: 'GET',
    url: '/mappings',
    config: callersWith('rolecall_read_mappings'),
    schema: {
      operationId: 'listMappings',
      summary: 'Which claims give which roles, in the order of their ids',
      tags,
      querystring: mappingsQuery,
      response: { 200: mappingList, ...refusals() },
    },
    handler: (request) => mappings.list(callOf(request), request.query, request.query),
  });

  app.route({
    method: 'POST',
    url: '/mappings',
    config: callersWith('rolecall_manage_mappings'),
    schema: {
      operationId: 'createMapping',
      summary: 'Give a role to whoever has a claim in their tokens from now on',
      tags,
      querystring: writeOnly,
      body: createMappingBody,
      response: { 200: mappingWritten, 201: mappingWritten, ...refusals(404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { scope = everywhere } = request.body;
      const written = await mappings.create(call, { ...request.body, scope });
      const { mapping, created } = written.value;
      return sendWritten(reply, call, written, { mapping }, created);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/mappings/:mapping',
    config: callersWith('rolecall_manage_mappings'),
    schema: {
      operationId: 'deleteMapping',
      summary: 'Delete a mapping, and take at once what it gave',
      tags,
      params: mappingParams,
      querystring: writeOnly,
      response: { 200: mappingWritten, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await mappings.remove(call, request.params.mapping);
      return sendWritten(reply, call, written, { mapping: written.value });
    },
  });
};
