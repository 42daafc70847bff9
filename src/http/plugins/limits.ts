import type { FastifyInstance } from 'fastify';
import type { Doorstep } from '../../services/doorstep.ts';
import type { Limits } from '../../services/limits.ts';
import { accessOf } from '../access.ts';
import { atEndOf, queuedBefore } from '../answer-end.ts';
import { stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * Turns requests away at once while too many are under way, before their credential is looked at. What anybody may ask,
 * such as whether the process lives, is answered nevertheless. Must be added before authorization, which counts for the
 * credential.
 */
export function addLimits(
  app: FastifyInstance,
  { limits, doorstep }: { limits: Limits; doorstep: Doorstep },
): void {
  app.addHook('onRoute', (route) => {
    if (accessOf(route.config)?.who === 'anybody') return;
    atRoute(route, 'onRequest', (request, reply, done) => {
      if (doorstep.asksOn(request.raw.socket)) return;
      const stay = limits.enter(queuedBefore(request, reply));
      stateOf(request).stay = stay;
      // No hook is told of an answer that nobody waited for.
      atEndOf(request, reply, () => stay.leave());
      done();
    });
  });
}
