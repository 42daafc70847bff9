import type { FastifyInstance } from 'fastify';
import type { Limits } from '../../services/limits.ts';
import { accessOf } from '../access.ts';
import { stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * Turns requests away at once while too many are under way, before their credential is looked at. What anybody may ask,
 * such as whether the process lives, is answered nevertheless. Must be added before authorization, which counts for the
 * credential.
 */
export function addLimits(app: FastifyInstance, { limits }: { limits: Limits }): void {
  app.addHook('onRoute', (route) => {
    if (accessOf(route.config)?.who === 'anybody') return;
    atRoute(route, 'onRequest', (request, reply, done) => {
      const stay = limits.enter();
      stateOf(request).stay = stay;
      // No hook is told of an answer that nobody waited for.
      reply.raw.on('close', () => stay.leave());
      done();
    });
  });
}
