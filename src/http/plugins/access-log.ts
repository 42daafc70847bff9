import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { logAnswer } from '../../observability/events.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * One line for each answer. Routes that state `hot` are logged at debug level only; below it they do not even hear of
 * their answers, which would cost each of them.
 */
export function addAccessLog(app: FastifyInstance, isDebug: boolean): void {
  app.addHook('onRoute', (route) => {
    const isHot = (route.config as { hot?: boolean } | undefined)?.hot === true;
    if (isHot && !isDebug) return;
    atRoute(route, 'onResponse', (request, reply, done) => {
      logAnswered(request, reply, route.url, isHot);
      done();
    });
  });
}

/** Logs an answer of a request once it has been sent. */
export function logAnswered(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  isHot = false,
): void {
  const { id: requestId, method } = request;
  const answered = { requestId, method, route, status: reply.statusCode };
  logAnswer(request.log, { ...answered, milliseconds: reply.elapsedTime }, isHot);
}
