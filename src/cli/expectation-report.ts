import type { Explanation } from '../domain/decision/explain.ts';
import type { Coverage } from '../domain/matrix/expectations/coverage.ts';
import type { Expectation } from '../domain/matrix/expectations/parse.ts';
import { everywhere } from '../domain/scopes.ts';

/** An expectation in a sentence, as it is in the file. */
export function sentenceOf({ user, roles, permission, scope, allowed }: Expectation): string {
  const held = roles.map((one) => heldText(one.role, one.scope)).join(', ') || 'no role';
  const place = scope === everywhere ? '' : ` in ${scope}`;
  return `${user} (${held}) ${allowed ? 'can' : 'cannot'} ${permission}${place}`;
}

/** Why it is not so, a line for each way to the permission, or for what would open one. */
export function reasonsOf({ decision, paths, nearest }: Explanation): readonly string[] {
  if (!decision.allowed) {
    const roles = nearest.shown.map(({ role, otherPermissions }) =>
      otherPermissions === 0 ? role : `${role} (and ${otherPermissions} more permissions)`,
    );
    return [
      `denied: ${decision.reason}`,
      ...(roles.length === 0 ? [] : [`would be allowed by the role ${roles.join(', or ')}`]),
    ];
  }
  return paths.shown.map(({ grant, includes, edge }) => {
    const way = [heldText(grant.role, grant.scope), ...includes.map(({ role }) => role)].join(' -> ');
    return `allowed: ${way}, by ${edge.origins.join(' and ')}`;
  });
}

/** `17 of 420 cells of role x permission (4 %)`, rounded down: only all of them are 100 %. */
export function coverageText({ covered, cells }: Omit<Coverage, 'roles'>): string {
  const share = cells === 0 ? 100 : Math.floor((covered / cells) * 100);
  return `${covered} of ${cells} cells of role x permission (${share} %)`;
}

function heldText(role: string, scope: string): string {
  return scope === everywhere ? role : `${role}@${scope}`;
}
