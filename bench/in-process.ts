import { Catalogue } from '../src/domain/decision/catalogue.ts';
import { decide } from '../src/domain/decision/decide.ts';
import { compileAccess } from '../src/domain/decision/user-access.ts';
import type { PermissionSlug, RoleKey, Scope } from '../src/domain/ids.ts';
import type { Evaluator, Policy } from './policy.ts';

/** Rolecall's own evaluator: the one place where the bench knows how it is called. */
export function rolecall({ permissions, roles, users }: Policy): Evaluator {
  const everywhere = '' as Scope;
  const always = { scope: everywhere, startsAt: null, expiresAt: null };
  const catalogue = new Catalogue({
    registered: permissions as PermissionSlug[],
    includes: roles.flatMap(({ key, includes }) =>
      includes.map((included) => ({ role: key as RoleKey, included: included as RoleKey, withheld: false })),
    ),
    edges: roles.flatMap(({ key, permissions }) =>
      permissions.map((slug) => ({
        role: key as RoleKey,
        permission: slug as PermissionSlug,
        withheld: false,
      })),
    ),
  });
  const accessOf = new Map(
    users.map(({ id, roles, denied }) => [
      id,
      compileAccess(
        catalogue,
        {
          active: true,
          grants: roles.map((role) => ({ role: role as RoleKey, ...always })),
          exceptions: denied.map((slug) => ({
            permission: slug as PermissionSlug,
            effect: 'deny' as const,
            ...always,
          })),
        },
        0,
      ),
    ]),
  );
  return ({ user, permission }) =>
    decide(catalogue, accessOf.get(user), permission as PermissionSlug, everywhere).allowed;
}
