import type { RoleKey } from '../domain/ids.ts';
import { everywhere } from '../domain/scopes.ts';
import { putGrants } from '../storage/grant-batches.ts';
import { readSettings } from '../storage/settings.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import { recordGrant } from './grant-record.ts';
import { forGood } from './guard.ts';
import { requireRole } from './lookups.ts';

/**
 * Gives somebody who was just made the role that the setting `default_role` names, everywhere and for good, noted like any
 * other grant, by `grantedBy`, or by nobody. Not guarded: whoever set it held what it gives. Returns what was given.
 */
export async function giveDefaultRole(
  handle: WriteHandle,
  userPk: number,
  grantedBy: number | null,
): Promise<readonly RoleKey[]> {
  const { default_role: named } = await readSettings(handle);
  if (named === null) return [];
  const { pk: rolePk, key: role } = await requireRole(handle, named as RoleKey);
  const terms = { ...forGood.window, reason: null };
  const place = { userPk, rolePk, scope: everywhere };
  putGrants(handle, [{ ...place, ...terms, grantedBy, grantedAt: null }]);
  recordGrant(handle, place, null, { ...terms, role, scope: everywhere });
  return [role];
}
