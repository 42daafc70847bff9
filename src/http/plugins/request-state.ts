import type { FastifyInstance } from 'fastify';
import type { Arrival } from '../arrivals.ts';
import { stateName, stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * Gives every request its deadline, that of a route that says it takes batches its own, and every answer the id under which
 * the log knows it.
 */
export function addRequestState(
  app: FastifyInstance,
  requestTimeoutMs: number,
  batchTimeoutMs: number,
): void {
  app.decorateRequest(stateName);
  app.addHook('onRequest', (request, reply, done) => {
    // What did not come over a connection comes now.
    const { arrivedAt = performance.now(), mark } = request.raw as Partial<Arrival>;
    request[stateName] = { arrivedAt, deadline: arrivedAt + requestTimeoutMs, mark };
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    done();
  });
  app.addHook('onRoute', (route) => {
    const { takesBatches = false } = (route.config ?? {}) as { takesBatches?: true };
    if (!takesBatches) return;
    atRoute(route, 'onRequest', (request, _reply, done) => {
      const state = stateOf(request);
      state.deadline = state.arrivedAt + batchTimeoutMs;
      done();
    });
  });
}
