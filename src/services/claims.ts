import { claimHas, wasMappedAt } from '../domain/mappings.ts';
import { claimOrigin } from '../domain/origins.ts';
import type { VerifiedToken } from '../domain/tokens.ts';
import {
  type AppliedClaims,
  type ClaimedRole,
  claimedRoles,
  claimGrantsOf,
  findAppliedClaims,
  noteClaims,
  putClaimGrant,
} from '../storage/claims.ts';
import type { ReadHandle } from '../storage/database.ts';
import type { Deadline } from '../storage/deadline.ts';
import { deleteGrants } from '../storage/grant-batches.ts';
import type { GrantRow } from '../storage/grants.ts';
import { mappingsOf } from '../storage/mappings.ts';
import type { Transactions, WriteHandle } from '../storage/transaction.ts';
import { serviceContext } from './call.ts';
import { recordGrant, recordRemoval } from './grant-record.ts';

/** What the claims of tokens give, by the mappings that administrators made. */
export interface Claims {
  /**
   * Makes the user's grants of origin `claim` what a verified token says, if it was issued later than the last one that was
   * applied for its identity, and when its issuer had a mapping already. What another identity's token gave stands beside
   * it. Returns whether anything was to be done.
   */
  apply(identityPk: number, token: VerifiedToken, deadline: Deadline): Promise<boolean>;
  /** Makes the grants of these users what their identities' newest tokens still give, in a write under way. */
  settle(handle: WriteHandle, userPks: readonly number[]): Promise<void>;
}

/** An end is moved on only when so much of the age has gone: not every token of a busy user is a change. */
const shareOfAge = 0.1;

/** `ageMs` is how long a role lasts that a token gave, from its `iat` on. */
export function openClaims(transactions: Transactions, ageMs: number): Claims {
  async function settle(handle: WriteHandle, userPks: readonly number[]): Promise<void> {
    const existing = byPlace(await claimGrantsOf(handle, userPks));
    const claimed = byPlace(await claimedRoles(handle, userPks, ageMs));
    const lapsed = [...existing].filter(([place]) => !claimed.has(place)).map(([, grant]) => grant);
    for (const grant of lapsed) recordRemoval(handle, grant.userPk, grant);
    if (lapsed.length > 0)
      deleteGrants(
        handle,
        lapsed.map(({ pk }) => pk),
      );
    for (const [place, role] of claimed) {
      const grant = existing.get(place);
      if (!grant || !endsAlike(grant, role)) await give(handle, role, grant);
    }
  }

  /** A grant that ends less than a tenth of the age before its new end is left as it is: it lapses no later than it should. */
  function endsAlike({ expiresAt }: GrantRow, { until }: ClaimedRole): boolean {
    return expiresAt !== null && expiresAt <= until && until - expiresAt < ageMs * shareOfAge;
  }

  return {
    settle,

    async apply(identityPk, token, deadline) {
      /** Nothing is noted of what gives nothing, so that logins are no writes where nobody maps anything. */
      const findDue = async (handle: ReadHandle) => {
        const applied = await findAppliedClaims(handle, identityPk);
        if (!isNewer(applied, token)) return undefined;
        const mappings = await mappingsOf(handle, token.issuer);
        return applied.met || wasMappedAt(mappings, token.issuedAt) ? { ...applied, mappings } : undefined;
      };
      if (!(await transactions.read(deadline, findDue))) return false;
      await transactions.write(serviceContext(deadline), async (handle) => {
        const due = await findDue(handle);
        if (!due) return;
        const met = due.mappings.filter((one) => claimHas(token.claims, one));
        const pks = met.map(({ pk }) => pk);
        await noteClaims(handle, identityPk, token.issuedAt, pks);
        await settle(handle, [due.userPk]);
      });
      return true;
    },
  };
}

async function give(handle: WriteHandle, claimed: ClaimedRole, before: GrantRow | undefined): Promise<void> {
  const { role, scope, until } = claimed;
  const terms = { role, scope, startsAt: null, expiresAt: until, reason: null };
  recordGrant(handle, claimed, before ?? null, terms, claimOrigin);
  await putClaimGrant(handle, claimed);
}

/** A user has a role at a scope by their claims once, whatever gave it. */
function byPlace<Held extends { readonly userPk: number; readonly rolePk: number; readonly scope: string }>(
  held: readonly Held[],
): ReadonlyMap<string, Held> {
  return new Map(held.map((one) => [JSON.stringify([one.userPk, one.rolePk, one.scope]), one]));
}

function isNewer(applied: AppliedClaims | undefined, token: VerifiedToken): applied is AppliedClaims {
  return applied !== undefined && (applied.issuedAt === null || applied.issuedAt < token.issuedAt);
}
