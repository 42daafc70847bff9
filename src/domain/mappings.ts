import type { Instant, RoleKey, Scope } from './ids.ts';
import type { Claims } from './tokens.ts';

/** Gives a role in a scope to whoever's token of the issuer has exactly this value at exactly this place. */
export interface Mapping {
  readonly issuer: string;
  /** The names that lead to the claim, from the outside in. */
  readonly claim: readonly string[];
  readonly value: string;
  readonly role: RoleKey;
  readonly scope: Scope;
}

/**
 * Whether claims have the value at the place, alone or in a list. Texts only, letter by letter: no pattern, no beginning,
 * no other case, and nothing that was inherited.
 */
export function claimHas(claims: Claims, { claim, value }: Pick<Mapping, 'claim' | 'value'>): boolean {
  let found: unknown = claims;
  for (const name of claim) {
    if (typeof found !== 'object' || found === null || Array.isArray(found) || !Object.hasOwn(found, name))
      return false;
    found = (found as Claims)[name];
  }
  return Array.isArray(found) ? found.includes(value) : found === value;
}

/**
 * Whether an issuer had one of its mappings when it issued a token, whose `iat` is in whole seconds. Of those from before
 * nobody knows which was the newest: they met nothing, and so none of them was noted.
 */
export function wasMappedAt(
  mappings: readonly { readonly createdAt: Instant }[],
  issuedAt: Instant,
): boolean {
  return mappings.some(({ createdAt }) => Math.floor(createdAt / 1_000) * 1_000 <= issuedAt);
}
