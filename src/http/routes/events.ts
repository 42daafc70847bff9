import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { RolecallError } from '../../domain/errors.ts';
import type { EventSink, Events } from '../../services/events.ts';
import { anyCaller } from '../access.ts';
import { askingOf, revisionOf, stateOf } from '../call.ts';
import { refusals } from '../schemas/answers.ts';
import { eventsAnswer, eventsHeaders, eventsQuery } from '../schemas/events.ts';
import { SseStream } from '../sse.ts';

/** News for whoever keeps answers: when to ask again. */
export const eventRoutes: FastifyPluginAsyncZodOpenApi<{ events: Events }> = async (app, { events }) => {
  const open = new Set<EventSink>();
  let isStopping = false;

  app.addHook('preClose', async () => {
    isStopping = true;
    for (const sink of open) sink.tell({ name: 'bye', reason: 'stopping' });
  });

  app.route({
    method: 'GET',
    url: '/events',
    config: anyCaller,
    schema: {
      operationId: 'listenToEvents',
      summary: 'Hear, as server-sent events, when what the caller may do may have changed',
      tags: ['Checks'],
      querystring: eventsQuery,
      headers: eventsHeaders,
      response: { 200: eventsAnswer, ...refusals() },
    },
    handler: async (request, reply) => {
      const last = request.headers['last-event-id'];
      const since = last === undefined ? null : revisionOf(last, 'Last-Event-ID');
      const stream = new SseStream();
      const sink = sinkOf(stream);
      const leave = await events.open(
        askingOf(request, {}),
        { all: request.query.all === 'true', since },
        sink,
      );
      // Streams have a bound of their own: they are no requests under way.
      stateOf(request).stay?.leave();
      if (isStopping) {
        leave();
        throw new RolecallError('unavailable', 'this process is stopping');
      }
      open.add(sink);
      stream.once('close', () => {
        leave();
        open.delete(sink);
      });
      // The end of the stream is the end of its connection, which a stop then need not wait for.
      reply
        .header('connection', 'close')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no');
      return reply.type('text/event-stream').send(stream as never);
    },
  });
};

function sinkOf(stream: SseStream): EventSink {
  return {
    tell(...events) {
      for (const event of events) {
        const { name, ...data } = event;
        const isLast = event === events.at(-1);
        stream.send(name, data, isLast && event.name !== 'bye' ? event.revision : undefined);
        if (name === 'bye') stream.end();
      }
    },
    beat: () => stream.beat(),
  };
}
