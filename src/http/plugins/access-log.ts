import type { FastifyInstance } from 'fastify';
import { logAnswer } from '../../observability/events.ts';

/** One line for each answer. Routes that state `hot` are logged at debug level only. */
export function addAccessLog(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const { url: route = 'none', config } = request.routeOptions;
    const isHot = (config as { hot?: boolean } | undefined)?.hot === true;
    const { method } = request;
    logAnswer(
      request.log,
      { method, route, status: reply.statusCode, milliseconds: reply.elapsedTime },
      isHot,
    );
  });
}
