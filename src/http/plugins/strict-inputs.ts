import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { RolecallError } from '../../domain/errors.ts';
import { atRoute } from '../route-hooks.ts';

/**
 * What a route does not describe, it does not take: a query or a body that it would ignore is refused, because whoever
 * sent it meant something by it.
 */
export function addStrictInputs(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    // A GET that has one was turned away with its framing.
    if (!route.schema?.body && route.method !== 'GET')
      atRoute(route, 'preValidation', (request, _reply, done) =>
        request.body === undefined ? done() : done(bodyRefused()),
      );
    if (route.schema?.hide) return;
    route.schema = { querystring: z.strictObject({}), ...route.schema };
  });
}

function bodyRefused(): RolecallError {
  const detail = 'this route takes no body';
  return new RolecallError('invalid_input', detail, {
    errors: [{ pointer: '', code: 'unknown_member', detail }],
  });
}
