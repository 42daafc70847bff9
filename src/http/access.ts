import type { BuiltinPermission } from '../domain/matrix/builtin.ts';

/**
 * Where a route takes the scope from in which its permission is needed: `query`, the scope that the query
 * names; `body`, the scope of each item of the body; `everywhere`, the empty scope; `held`, any scope in
 * which the caller has the permission. A route with `held` shows only what lies in those scopes.
 */
export type ScopeSource = 'query' | 'body' | 'everywhere' | 'held';

/**
 * Who may use a route, stated by it as data; a route that states nothing keeps the server from starting.
 * `aboutOthers` permissions are not needed to ask about oneself and are checked with the question, on its snapshot.
 */
export type Access =
  | { readonly who: 'anybody' }
  | { readonly who: 'any caller' }
  | {
      readonly who: 'callers with';
      readonly permission: BuiltinPermission;
      readonly scope: ScopeSource;
      readonly aboutOthers: boolean;
    };

interface RouteAccess {
  readonly access: Access;
}

export const anybody: RouteAccess = { access: { who: 'anybody' } };
export const anyCaller: RouteAccess = { access: { who: 'any caller' } };

export function callersWith(permission: BuiltinPermission, scope: ScopeSource = 'everywhere'): RouteAccess {
  return { access: { who: 'callers with', permission, scope, aboutOthers: false } };
}

export function aboutOthersWith(permission: BuiltinPermission, scope: ScopeSource): RouteAccess {
  return { access: { who: 'callers with', permission, scope, aboutOthers: true } };
}

/** What a route's config states, if it does. */
export function accessOf(config: unknown): Access | undefined {
  return (config as Partial<RouteAccess> | undefined)?.access;
}
