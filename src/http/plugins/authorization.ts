import type { FastifyInstance, FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify';
import { RolecallError } from '../../domain/errors.ts';
import { parseUserId, type Scope } from '../../domain/ids.ts';
import { everywhere } from '../../domain/scopes.ts';
import type { Authentication } from '../../services/authentication.ts';
import { type AccessCheck, aboutOthers } from '../../services/decisions/access-check.ts';
import { type Access, accessOf } from '../access.ts';
import { askingOf, isDryRun, stateOf } from '../call.ts';
import { atRoute } from '../route-hooks.ts';

/** Names the user for whom a backend acts: percent-encoded, for headers hold plain letters only. */
const actForHeader = 'rolecall-act-for';

type Demand = Extract<Access, { who: 'callers with' }>;

/**
 * Holds every route to what it states: who may call it, and with which permission in which scope. Writes are guarded
 * again inside their transaction; this keeps callers without the permission from ever queueing for the revision lock.
 * Must be added before any route, so that no route escapes it; one without a statement keeps the server from starting.
 */
export function addAuthorization(
  app: FastifyInstance,
  { authentication, accessCheck }: { authentication: Authentication; accessCheck: AccessCheck },
): void {
  const routes: RouteOptions[] = [];

  app.addHook('onRoute', (route) => {
    routes.push(route);
    const access = accessOf(route.config);
    if (!access || access.who === 'anybody') return;
    atRoute(route, 'onRequest', identify);
    if (access.who === 'callers with' && !access.aboutOthers)
      atRoute(route, 'preHandler', (request, _reply, done) => {
        admit(request, access).then(() => done(), done);
      });
  });

  app.addHook('onReady', async () => {
    const unstated = routes
      .filter((route) => !accessOf(route.config))
      .map((route) => `${route.method} ${route.url}`);
    if (unstated.length > 0)
      throw new Error(`routes that do not state who may use them: ${unstated.join(', ')}`);
  });

  // With a callback: a known key is found at once, and costs no turn through a promise.
  const identify: onRequestHookHandler = (request, _reply, done) => {
    const state = stateOf(request);
    const { authorization, [actForHeader]: actFor } = request.headers;
    const found = authentication.authenticate(authorization, state.deadline, request);
    if (!(found instanceof Promise) && actFor === undefined) {
      state.stay?.admit(found);
      state.principal = found;
      return done();
    }
    Promise.resolve(found)
      .then((caller) => {
        state.stay?.admit(caller);
        // Where they may not act for somebody, it was they who tried.
        state.principal = caller;
        return actFor === undefined ? caller : actingFor(request, actFor);
      })
      .then((principal) => {
        state.principal = principal;
        done();
      }, done);
  };

  async function actingFor(request: FastifyRequest, named: string | string[]) {
    const parsed = parseUserId(decodedId(String(named)));
    if (parsed.ok) return accessCheck.actFor(askingOf(request, {}), parsed.value);
    const detail = `Rolecall-Act-For: ${parsed.why}`;
    throw new RolecallError('invalid_input', detail, {
      errors: [{ pointer: '/header/rolecall-act-for', code: 'invalid_value', detail }],
    });
  }

  async function admit(request: FastifyRequest, { permission, scope: source }: Demand): Promise<void> {
    const { scope = everywhere } = request.query as { scope?: Scope };
    const asked = { query: scope, everywhere, body: null, held: null }[source];
    const asking = askingOf(request, {});
    const sight = await accessCheck.requireOf(asking, permission, asked);
    stateOf(request).sight = isDryRun(request) ? await accessCheck.sightOf(asking, aboutOthers.see) : sight;
  }
}

/** What is not percent-encoded as it should be stands for nobody. */
function decodedId(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
