import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { everywhere } from '../../domain/scopes.ts';
import type { ApiKeys } from '../../services/api-keys.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  createKeyBody,
  keyCreated,
  keyList,
  keyParams,
  keyRevoked,
  keyRotated,
  keysQuery,
  rotateKeyBody,
  usualOverlapSeconds,
} from '../schemas/api-keys.ts';
import { writeOnly } from '../schemas/requests.ts';

/** Credentials that act as users. */
export const apiKeyRoutes: FastifyPluginAsyncZodOpenApi<{ apiKeys: ApiKeys }> = async (app, { apiKeys }) => {
  const tags = ['Keys'];

  app.route({
    method: 'GET',
    url: '/keys',
    config: callersWith('rolecall_read_keys', 'held'),
    schema: {
      operationId: 'listKeys',
      summary: 'Keys in the order of their ids, never their secrets',
      tags,
      querystring: keysQuery,
      response: { 200: keyList, ...refusals() },
    },
    handler: (request) => apiKeys.list(callOf(request), request.query, request.query),
  });

  app.route({
    method: 'POST',
    url: '/keys',
    config: callersWith('rolecall_manage_keys', 'body'),
    schema: {
      operationId: 'createKey',
      summary: 'Make a key; the answer is the only place that ever shows it',
      tags,
      querystring: writeOnly,
      body: createKeyBody,
      response: { 201: keyCreated, ...refusals(404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { user, name, permissions = null, scope = everywhere, expiresAt = null } = request.body;
      const written = await apiKeys.create(call, { user, name, permissions, scope, expiresAt });
      reply.header('cache-control', 'no-store');
      return sendWritten(reply, call, written, written.value, true);
    },
  });

  app.route({
    method: 'POST',
    url: '/keys/:key/rotate',
    config: callersWith('rolecall_manage_keys', 'held'),
    schema: {
      operationId: 'rotateKey',
      summary: 'Make a key in the place of another, which works a while longer',
      tags,
      params: keyParams,
      querystring: writeOnly,
      body: rotateKeyBody,
      response: { 201: keyRotated, ...refusals(404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const { overlapSeconds: overlap = usualOverlapSeconds, expiresAt } = request.body ?? {};
      const written = await apiKeys.rotate(call, request.params.key, { overlap, expiresAt });
      reply.header('cache-control', 'no-store');
      return sendWritten(reply, call, written, written.value, true);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/keys/:key',
    config: callersWith('rolecall_manage_keys', 'held'),
    schema: {
      operationId: 'revokeKey',
      summary: 'Revoke a key: it is refused from then on',
      tags,
      params: keyParams,
      querystring: writeOnly,
      response: { 200: keyRevoked, ...refusals(404, 409) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const written = await apiKeys.revoke(call, request.params.key);
      return sendWritten(reply, call, written, written.value);
    },
  });
};
