import type {
  onErrorHookHandler,
  onRequestHookHandler,
  onResponseHookHandler,
  preHandlerHookHandler,
  RouteOptions,
} from 'fastify';

interface Hooks {
  onRequest: onRequestHookHandler;
  preValidation: preHandlerHookHandler;
  preHandler: preHandlerHookHandler;
  onError: onErrorHookHandler;
  onResponse: onResponseHookHandler;
}

/**
 * Adds a hook to one route, after those it has. What depends on what a route states is decided when it is added: asked at
 * each request, it would cost a copy of all that the route was made of.
 */
export function atRoute<Name extends keyof Hooks>(route: RouteOptions, name: Name, hook: Hooks[Name]): void {
  const present = route[name] ?? [];
  Object.assign(route, { [name]: [...(Array.isArray(present) ? present : [present]), hook] });
}
