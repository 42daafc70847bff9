import { hash } from 'node:crypto';
import { RolecallError } from '../../domain/errors.ts';
import { nameOfIdentity } from '../../domain/identities.ts';
import type { Principal } from '../../domain/principals.ts';
import { TokenFault } from '../../domain/tokens.ts';
import { type Deadline, unavailable, within } from '../../storage/deadline.ts';
import type { Claims } from '../claims.ts';
import type { Freshness } from '../decisions/freshness.ts';
import type { UserCache } from '../decisions/user-cache.ts';
import { notValid } from '../refusals.ts';
import type { Enrolment } from './enrolment.ts';
import type { JwtVerifier, Verification } from './jwt-verifier.ts';
import { type KnownToken, KnownTokens } from './known-tokens.ts';

export interface TokenAuthentication {
  /** The principal behind a token, at once if it was verified before. Throws `unauthenticated` or `unavailable`. */
  authenticate(text: string, deadline: Deadline): Principal | Promise<Principal>;
}

export interface TokenAuthenticationSources {
  readonly verifier: JwtVerifier;
  readonly cache: UserCache;
  readonly freshness: Freshness;
  /** Whether identities that nobody has become users. */
  enrols(): boolean;
  readonly enrolment: Enrolment;
  readonly claims: Claims;
}

/** Callers who come with a token of an identity provider: whoever has its issuer and subject among their identities. */
export function openTokenAuthentication({
  verifier,
  cache,
  freshness,
  enrols,
  enrolment,
  claims,
}: TokenAuthenticationSources): TokenAuthentication {
  const known = new KnownTokens();

  /** The principal, if memory knows that the token and the identity stand. */
  function standing(token: KnownToken): Principal | undefined {
    if (!token.stillHasKeys() || token.until <= freshness.now()) return undefined;
    const link = cache.credential(token.credentialId);
    // Linked anew since, it is owed what the token's claims give.
    if (link?.principal.credentialPk !== token.credentialPk) return undefined;
    if (cache.user(link.principal.userId)?.access.active === false) return undefined;
    return token.principalOf(link.principal);
  }

  async function clock() {
    if (!Number.isFinite(freshness.secondsSinceConfirmed())) await freshness.latest();
    return freshness.now();
  }

  async function verified(text: string, deadline: Deadline): Promise<Verification> {
    const late = () => unavailable('the token could not be verified in time');
    try {
      return await within(deadline, verifier.verify(text, clock), late);
    } catch (error) {
      if (!(error instanceof TokenFault)) throw error;
      throw new RolecallError('unauthenticated', 'this token is not valid', { cause: error });
    }
  }

  async function recognise(text: string, digest: string, deadline: Deadline) {
    const verification = await verified(text, deadline);
    const credentialId = nameOfIdentity(verification.token);
    await freshness.latest();
    // What was changed while it was read is not kept, and is read again.
    for (;;) {
      const link = cache.credential(credentialId);
      const user = link && cache.user(link.principal.userId);
      if (link && user) {
        if (!user.access.active) throw notValid(link.principal);
        if (await claims.apply(-link.principal.credentialPk, verification.token, deadline)) {
          await freshness.latest();
          continue;
        }
        return known.add(digest, link.principal, verification).principalOf(link.principal);
      }
      const owner = link ? [link.principal.userId] : [];
      const late = () => unavailable('the database did not answer in time');
      const { absentCredentials } = await within(deadline, cache.fill(owner, [credentialId]), late);
      if (!absentCredentials.has(credentialId)) continue;
      if (!enrols() || !(await enrolment.enrol(verification.token, deadline))) throw nobody();
      await freshness.latest();
    }
  }

  return {
    authenticate(text, deadline) {
      const digest = hash('sha256', text, 'base64');
      const token = known.get(digest);
      const principal = token && standing(token);
      return principal ?? recognise(text, digest, deadline);
    },
  };
}

function nobody(): RolecallError {
  return new RolecallError(
    'unauthenticated',
    'the token is valid, but nobody here has its identity: let an administrator link it to a user',
    { cause: new TokenFault('nobody here has its identity') },
  );
}
