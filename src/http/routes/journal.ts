import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { type Journal, shownDenial, shownEntry } from '../../services/journal.ts';
import { callersWith } from '../access.ts';
import { callOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import {
  chainAnswer,
  chainQuery,
  denialPage,
  denialsQuery,
  journalPage,
  journalQuery,
} from '../schemas/journal.ts';

/** What happened, whether the record of it is whole, and what was refused. */
export const journalRoutes: FastifyPluginAsyncZodOpenApi<{ journal: Journal }> = async (app, { journal }) => {
  const tags = ['Journal'];

  app.route({
    method: 'GET',
    url: '/journal',
    config: callersWith('rolecall_read_journal', 'held'),
    schema: {
      operationId: 'listJournal',
      summary: 'Every change, with who made it, newest first',
      tags,
      querystring: journalQuery,
      response: { 200: journalPage, ...refusals() },
    },
    handler: async (request) => {
      const { limit, after, ...filter } = request.query;
      const { data, nextCursor } = await journal.list(callOf(request), filter, { limit, after });
      return { data: data.map(shownEntry), nextCursor };
    },
  });

  app.route({
    method: 'GET',
    url: '/journal/verify',
    config: callersWith('rolecall_read_journal'),
    schema: {
      operationId: 'verifyJournal',
      summary: 'Whether the record is as it was sealed, 5,000 entries at a time',
      tags,
      querystring: chainQuery,
      response: { 200: chainAnswer, ...refusals() },
    },
    handler: (request) => journal.verify(callOf(request), request.query.after),
  });

  app.route({
    method: 'GET',
    url: '/journal/denied',
    config: callersWith('rolecall_read_journal'),
    schema: {
      operationId: 'listDenials',
      summary: 'Attempts at administration that were refused, newest first',
      tags,
      querystring: denialsQuery,
      response: { 200: denialPage, ...refusals() },
    },
    handler: async (request) => {
      const { data, nextCursor } = await journal.denials(callOf(request), request.query);
      return { data: data.map(shownDenial), nextCursor };
    },
  });
};
