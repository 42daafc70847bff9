import { Ability, type RawRuleOf } from '@casl/ability';
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { type Evaluator, type Policy, partsOf } from './policy.ts';

/** CASL as its guide says for many users: one ability for each, built once from the rules that reach the user. */
export function casl(policy: Policy): Evaluator {
  const abilities = new Map(
    policy.users.map(({ id, roles, denied }) => {
      const given = closureOf(policy, roles).flatMap(
        (role) => rolesByKey(policy).get(role)?.permissions ?? [],
      );
      const rules: RawRuleOf<Ability>[] = [
        ...[...new Set(given)].map(partsOf).map(({ resource, action }) => ({ action, subject: resource })),
        ...denied.map(partsOf).map(({ resource, action }) => ({ action, subject: resource, inverted: true })),
      ];
      return [id, new Ability(rules)];
    }),
  );
  return ({ user, action, resource }) => abilities.get(user)?.can(action, resource) ?? false;
}

/** Casbin with its role manager, the cheap comparisons first in the matcher, asked synchronously. */
export async function casbin({ roles, users }: Policy): Promise<Evaluator> {
  const model = newModelFromString(`
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act, eft

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.obj == p.obj && r.act == p.act && g(r.sub, p.sub)
`);
  const line = (holder: string, slug: string, effect: string) => {
    const { resource, action } = partsOf(slug);
    return `p, ${holder}, ${resource}, ${action}, ${effect}`;
  };
  const lines = [
    ...roles.flatMap(({ key, permissions }) => permissions.map((slug) => line(key, slug, 'allow'))),
    ...roles.flatMap(({ key, includes }) => includes.map((included) => `g, ${key}, ${included}`)),
    ...users.flatMap(({ id, denied }) => denied.map((slug) => line(id, slug, 'deny'))),
    ...users.flatMap(({ id, roles }) => roles.map((role) => `g, ${id}, ${role}`)),
  ];
  const enforcer = await newEnforcer(model, new StringAdapter(lines.join('\n')));
  return ({ user, resource, action }) => enforcer.enforceSync(user, resource, action);
}

function rolesByKey({ roles }: Policy) {
  return new Map(roles.map((role) => [role.key, role]));
}

function closureOf(policy: Policy, roles: readonly string[]): readonly string[] {
  const reached = new Set(roles);
  const byKey = rolesByKey(policy);
  for (const role of reached) for (const included of byKey.get(role)?.includes ?? []) reached.add(included);
  return [...reached];
}
