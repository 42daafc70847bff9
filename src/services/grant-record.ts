import { reasonOf, type Terms } from '../domain/grants.ts';
import type { RoleKey, Scope } from '../domain/ids.ts';
import type { Json } from '../domain/journal-entries.ts';
import { apiOrigin } from '../domain/origins.ts';
import type { WriteHandle } from '../storage/transaction.ts';

/** A grant as the record tells of it. */
type Told = Terms & { readonly role: RoleKey; readonly scope: Scope; readonly origin: string };

/** Notes that a grant was given, or given new terms. */
export function recordGrant(
  handle: WriteHandle,
  { userPk, rolePk }: { readonly userPk: number; readonly rolePk: number },
  before: Told | null,
  after: Omit<Told, 'origin'>,
  origin = apiOrigin,
): void {
  handle.record({
    kind: 'grant_set',
    userPk,
    rolePk,
    before: before ? termsOf(before) : null,
    after: termsOf({ ...after, origin }),
    personal: reasonOf(after),
  });
}

/** Notes that a grant ended, wherever that happens. */
export function recordRemoval(
  handle: WriteHandle,
  userPk: number,
  grant: Told & { readonly rolePk: number },
): void {
  handle.record({
    kind: 'grant_removed',
    userPk,
    rolePk: grant.rolePk,
    before: termsOf(grant),
    personal: reasonOf(grant),
  });
}

/** What the record says of a grant. */
function termsOf({ role, scope, origin, startsAt, expiresAt }: Told): Json {
  return { role, scope, origin, startsAt, expiresAt };
}
