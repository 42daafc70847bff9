import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import type { Settings } from '../../services/settings.ts';
import { callersWith } from '../access.ts';
import { callOf, sendWritten } from '../call.ts';
import { ifMatchVersion, tagged } from '../preconditions.ts';
import { refusals } from '../schemas/answers.ts';
import { writeOnly } from '../schemas/requests.ts';
import {
  changeSettingBody,
  settingAnswer,
  settingList,
  settingParams,
  settingWritten,
} from '../schemas/settings.ts';

/** What an installation may set while it runs. */
export const settingRoutes: FastifyPluginAsyncZodOpenApi<{ settings: Settings }> = async (
  app,
  { settings },
) => {
  const tags = ['Settings'];

  app.route({
    method: 'GET',
    url: '/settings',
    config: callersWith('rolecall_read_settings'),
    schema: {
      operationId: 'listSettings',
      summary: 'Every setting in the order of the keys, with what counts and what it takes',
      tags,
      response: { 200: settingList, ...refusals() },
    },
    handler: async (request) => ({ data: await settings.list(callOf(request)) }),
  });

  app.route({
    method: 'GET',
    url: '/settings/:setting',
    config: callersWith('rolecall_read_settings'),
    schema: {
      operationId: 'getSetting',
      summary: 'A setting',
      tags,
      params: settingParams,
      response: { 200: settingAnswer, ...refusals(404) },
    },
    handler: async (request, reply) =>
      tagged(reply, await settings.get(callOf(request), request.params.setting)),
  });

  app.route({
    method: 'PATCH',
    url: '/settings/:setting',
    config: callersWith('rolecall_manage_settings'),
    schema: {
      operationId: 'changeSetting',
      summary: 'Set a value, on every replica; needs If-Match with the ETag of what it was',
      tags,
      params: settingParams,
      querystring: writeOnly,
      body: changeSettingBody,
      response: { 200: settingWritten, ...refusals(404, 409, 412, 413, 415, 422, 428) },
    },
    handler: async (request, reply) => {
      const call = callOf(request);
      const version = ifMatchVersion(request);
      const written = await settings.change(call, request.params.setting, request.body.value, version);
      const setting = call.dryRun ? written.value : tagged(reply, written.value);
      return sendWritten(reply, call, written, { setting });
    },
  });
};
