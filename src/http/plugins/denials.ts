import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ErrorCode, RolecallError } from '../../domain/errors.ts';
import { parseScope, parseUserId } from '../../domain/ids.ts';
import type { Denials } from '../../services/denials.ts';
import { accessOf } from '../access.ts';
import { stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/** What is said to somebody who may not do what they tried. */
const refusals: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'exceeds_own_access',
  'last_administrator',
];

/**
 * Notes attempts at administration that were refused, once they were answered. Asking what one may not know is none, and
 * is not listened to.
 */
export function addDenials(app: FastifyInstance, { denials }: { denials: Denials }): void {
  const refused = new WeakMap<FastifyRequest, ErrorCode>();

  app.addHook('onRoute', (route) => {
    const access = accessOf(route.config);
    if (access?.who !== 'callers with' || access.aboutOthers) return;
    atRoute(route, 'onError', (request, _reply, error, done) => {
      const { code } = error as RolecallError;
      if (refusals.includes(code)) refused.set(request, code);
      done();
    });
    atRoute(route, 'onResponse', (request, _reply, done) => {
      const code = refused.get(request);
      if (code !== undefined) denials.note({ code, ...attemptOf(request) });
      done();
    });
  });
}

function attemptOf(request: FastifyRequest) {
  const { url = 'none' } = request.routeOptions;
  const { principal: caller } = stateOf(request);
  const attempt = {
    caller,
    requestId: request.id,
    method: request.method,
    route: url.replace(/:(\w+)/g, '{$1}'),
  };
  // What somebody unknown sent was not looked at.
  if (!caller) return { ...attempt, subject: null, target: null, scope: null };
  // It may have been refused before anything else was looked at, so what is no name is not kept.
  const { user = '', ...others } = request.params as Record<string, string>;
  const { scope = '' } = request.query as { scope?: unknown };
  const names = Object.values(others);
  return {
    ...attempt,
    subject: parseUserId(user).ok ? user : null,
    target: names.length > 0 && names.every((name) => plainName.test(name)) ? names.join(' ') : null,
    scope: typeof scope === 'string' && scope !== '' && parseScope(scope).ok ? scope : null,
  };
}

/** Of a role, a permission, a key, a mapping or a setting. */
const plainName = /^[A-Za-z0-9._:-]{1,255}$/;
