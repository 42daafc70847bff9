import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type EventLog, logAnswer } from '../../observability/events.ts';
import { stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * One line for each answer. Routes that state `hot` are logged at debug level only; below it they do not even hear of
 * their answers, which would cost each of them.
 */
export function addAccessLog(app: FastifyInstance, log: EventLog, isDebug: boolean): void {
  app.addHook('onRoute', (route) => {
    const isHot = (route.config as { hot?: boolean } | undefined)?.hot === true;
    if (isHot && !isDebug) return;
    atRoute(route, 'onResponse', (request, reply, done) => {
      logAnswered(log, request, reply, route.url, isHot);
      done();
    });
  });
}

/** Logs an answer of a request once it has been sent. */
export function logAnswered(
  log: EventLog,
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  isHot = false,
): void {
  const { id: requestId, method } = request;
  const milliseconds = performance.now() - stateOf(request).arrivedAt;
  logAnswer(log, { requestId, method, route, status: reply.statusCode, milliseconds }, isHot);
}
