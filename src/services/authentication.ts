import { idIn, keyLength, type ParsedApiKey, parseApiKey, secretMatches } from '../domain/api-keys.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Principal } from '../domain/principals.ts';
import { type Deadline, unavailable, within } from '../storage/deadline.ts';
import type { Freshness } from './decisions/freshness.ts';
import type { Credential, UserCache } from './decisions/user-cache.ts';
import { type Fingerprint, openFingerprints } from './fingerprint.ts';
import type { KeyUses } from './key-uses.ts';
import { notValid } from './refusals.ts';
import type { TokenAuthentication } from './tokens/token-authentication.ts';
import type { Origin, WrongKeys } from './wrong-keys.ts';

export interface Authentication {
  /**
   * The principal behind an `Authorization` header, at once if the key or token is known to stand. Throws
   * `unauthenticated`, the same for an unknown key and a wrong secret, for a revoked or expired key and one whose user is
   * inactive, and the same for every token that does not hold. That it still stands for the answer is found out with the
   * question, on its view. A key with a typing error costs no query. Throws `unavailable` when it cannot be judged, and
   * `rate_limited` for a key that is not known from where too many wrong ones came.
   */
  authenticate(
    header: string | undefined,
    deadline: Deadline,
    origin: Origin,
  ): Principal | Promise<Principal>;
}

const scheme = 'Bearer ';
const usualHeaderLength = scheme.length + keyLength;

export function openAuthentication(
  cache: UserCache,
  freshness: Freshness,
  tokens: TokenAuthentication | undefined,
  uses: Pick<KeyUses, 'note'>,
  wrongKeys: WrongKeys,
): Authentication {
  function stands({ principal, revoked }: Credential): boolean {
    const { expiresAt, userId } = principal;
    const isOver = expiresAt !== null && expiresAt <= freshness.now();
    return !revoked && !isOver && cache.user(userId)?.access.active !== false;
  }

  function used({ principal }: Credential): Principal {
    uses.note(principal.credentialPk);
    return principal;
  }

  const fingerprintOf = openFingerprints();
  /** Of keys that were proven, the header that did it: the same header proves form, checksum and secret again. */
  const proofs = new WeakMap<Credential, Fingerprint>();

  function provenBefore(header: string): Credential | undefined {
    if (header.length !== usualHeaderLength) return undefined;
    const known = cache.credential(idIn(header.slice(scheme.length)));
    const proof = known && proofs.get(known);
    if (!proof) return undefined;
    const { first, second } = fingerprintOf(header);
    return first === proof.first && second === proof.second ? known : undefined;
  }

  /** For a key that is not known, or not known to stand: somebody may have been reactivated since. */
  async function findCurrent(keyId: string, secret: string, deadline: Deadline): Promise<Principal> {
    await freshness.latest();
    // What was changed while it was read is not kept, and is read again.
    for (;;) {
      const known = cache.credential(keyId);
      if (known && cache.user(known.principal.userId)) {
        requireSecret(known, secret);
        if (stands(known)) return used(known);
        throw notValid();
      }
      const owner = known ? [known.principal.userId] : [];
      const late = () => unavailable('the database did not answer in time');
      const { absentCredentials } = await within(deadline, cache.fill(owner, [keyId]), late);
      if (absentCredentials.has(keyId)) requireSecret(undefined, secret);
    }
  }

  async function lookUp(
    { id, secret }: ParsedApiKey,
    deadline: Deadline,
    origin: Origin,
  ): Promise<Principal> {
    wrongKeys.requirePatience(id, origin);
    try {
      const principal = await findCurrent(id, secret, deadline);
      wrongKeys.foundGood(id);
      return principal;
    } catch (error) {
      if (!(error instanceof RolecallError) || error.code !== 'unauthenticated') throw error;
      // Of those that were looked up together no more are told than of those that come one after the other.
      wrongKeys.requirePatience(id, origin);
      const known = cache.credential(id);
      wrongKeys.foundWrong(id, origin, known !== undefined && stands(known));
      throw error;
    }
  }

  return {
    authenticate(header = '', deadline, origin) {
      const proven = provenBefore(header);
      if (proven && stands(proven)) return used(proven);
      const token = bearerToken(header);
      if (token === undefined)
        throw new RolecallError('unauthenticated', 'send `Authorization: Bearer <API key or token>`');
      const key = parseApiKey(token);
      if (!key) {
        if (tokens && token.includes('.')) return tokens.authenticate(token, deadline);
        throw notValid();
      }
      const known = cache.credential(key.id);
      if (known) {
        requireSecret(known, key.secret);
        if (header.length === usualHeaderLength) proofs.set(known, fingerprintOf(header));
      }
      return known && stands(known) ? used(known) : lookUp(key, deadline, origin);
    },
  };
}

/** Takes as long for a key that does not exist as for one that does. */
function requireSecret(credential: Credential | undefined, secret: string): void {
  if (!secretMatches(secret, credential?.secretHash)) throw notValid();
}

function bearerToken(header: string): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header)?.[1];
}
