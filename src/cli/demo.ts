import type { PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import { everywhere } from '../domain/scopes.ts';
import type { Call } from '../services/call.ts';
import type { Exceptions } from '../services/exceptions.ts';
import type { Grants } from '../services/grants.ts';
import type { Users } from '../services/users.ts';

/** The one whom README's curl asks about. */
export const curlUser = 'maria' as UserId;

const monthMs = 30 * 24 * 3_600_000;
const forGood = { startsAt: null, expiresAt: null, reason: null };

/**
 * A few people who show what there is: a role that includes another, a grant in one scope, one that expires, somebody
 * inactive, and an exception. Does nothing once there are users.
 */
export async function seedDemo(
  { users, grants, exceptions }: { users: Users; grants: Grants; exceptions: Exceptions },
  call: Call,
  now: number,
): Promise<void> {
  const { data: present } = await users.list(call, {}, { limit: 1 });
  if (present.length > 0) return;

  const make = (id: string, active = true) =>
    users.create(call, { id: id as UserId, email: `${id}@example.com`, active });
  const give = (id: string, role: string, scope = everywhere as string, terms = {}) =>
    grants.put(call, id as UserId, role as RoleKey, scope as Scope, { ...forGood, ...terms });

  await make('maria');
  await give('maria', 'manager', everywhere, { reason: 'runs the shop; manager includes viewer' });

  await make('lars');
  await give('lars', 'loader', 'warehouse/north');

  await make('erin');
  await give('erin', 'accountant', everywhere, { expiresAt: now + monthMs, reason: 'stands in for a month' });

  await make('olga');
  await give('olga', 'manager');
  await exceptions.put(call, 'olga' as UserId, 'customers_change_customer' as PermissionSlug, everywhere, {
    ...forGood,
    effect: 'deny',
    reason: 'while a complaint is looked into',
  });

  await make('ivan', false);
  await give('ivan', 'viewer');
}
