import type { FastifyInstance } from 'fastify';
import { logAnswer } from '../../observability/events.ts';

/** One line for each answer. Routes that state `hot` are logged at debug level only, and cost nothing below it. */
export function addAccessLog(app: FastifyInstance, isDebug: boolean): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { url: route = 'none', config } = request.routeOptions;
    const isHot = (config as { hot?: boolean } | undefined)?.hot === true;
    if (isDebug || !isHot) {
      const { id: requestId, method } = request;
      const answered = { requestId, method, route, status: reply.statusCode };
      logAnswer(request.log, { ...answered, milliseconds: reply.elapsedTime }, isHot);
    }
    done();
  });
}
