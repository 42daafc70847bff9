import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { RolecallError } from '../../domain/errors.ts';

/**
 * What a route does not describe, it does not take: a query or a body that it would ignore is refused, because whoever
 * sent it meant something by it.
 */
export function addStrictInputs(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.schema?.hide) return;
    route.schema = { querystring: z.strictObject({}), ...route.schema };
  });

  app.addHook('preValidation', (request, _reply, done) => {
    if (request.is404 || request.body === undefined || request.routeOptions.schema?.body) return done();
    const detail = 'this route takes no body';
    done(
      new RolecallError('invalid_input', detail, {
        errors: [{ pointer: '', code: 'unknown_member', detail }],
      }),
    );
  });
}
