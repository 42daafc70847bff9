import type { Instant } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principals.ts';
import type { Verification } from './jwt-verifier.ts';

/** More tokens than that are verified again: memory is bounded, not the number of callers. */
const mostTokens = 20_000;

/** A token that was verified, without the token. */
export class KnownToken {
  readonly credentialId: string;
  /** Of the link under which its claims were applied. */
  readonly credentialPk: number;
  readonly until: Instant;
  readonly stillHasKeys: () => boolean;
  #link: Principal | undefined;
  #principal: Principal | undefined;

  constructor({ credentialId, credentialPk }: Principal, { until, stillHasKeys }: Verification) {
    this.credentialId = credentialId;
    this.credentialPk = credentialPk;
    this.until = until;
    this.stillHasKeys = stillHasKeys;
  }

  /** Whoever has the identity, until the token ends. */
  principalOf(link: Principal): Principal {
    if (this.#link === link && this.#principal) return this.#principal;
    this.#link = link;
    this.#principal = { ...link, expiresAt: this.until };
    return this.#principal;
  }
}

/** Tokens that were verified, by the SHA-256 of all of their text. The one that came first is forgotten first. */
export class KnownTokens {
  readonly #tokens = new Map<string, KnownToken>();

  get(digest: string): KnownToken | undefined {
    return this.#tokens.get(digest);
  }

  add(digest: string, link: Principal, verification: Verification): KnownToken {
    const token = new KnownToken(link, verification);
    this.#tokens.delete(digest);
    this.#tokens.set(digest, token);
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= mostTokens) break;
      this.#tokens.delete(oldest);
    }
    return token;
  }
}
