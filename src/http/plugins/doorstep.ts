import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RolecallError } from '../../domain/errors.ts';
import type { Doorstep } from '../../services/doorstep.ts';
import { stateOf } from '../call.ts';

/**
 * Lets whoever is refused at the door again and again wait until they are told so. They are no longer under way then, and
 * who hangs up is forgotten.
 */
export function addDoorstep(app: FastifyInstance, { doorstep }: { doorstep: Doorstep }): void {
  app.addHook('onError', (request, reply, error, done) => {
    if (!isNotLetIn(request, error as RolecallError)) return done();
    const { socket: connection } = request.raw;
    const { stay, deadline } = stateOf(request);
    stay?.leave();
    // Its client is gone, or was hung up on.
    if (connection.destroyed) return;
    const refused = { connection, ip: request.ip, deadline, tell: done };
    reply.raw.on('close', () => doorstep.forget(connection));
    doorstep.turnAway(refused);
  });

  app.addHook('preClose', (done) => {
    doorstep.clear();
    done();
  });
}

function isNotLetIn(request: FastifyRequest, { code }: RolecallError): boolean {
  if (code === 'unavailable') return stateOf(request).stay === undefined;
  return code === 'rate_limited' || code === 'unauthenticated';
}
