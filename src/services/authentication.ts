import { checksumMatches, parseApiKey, secretMatches } from '../domain/api-keys.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Principal } from '../domain/principals.ts';
import { type Deadline, unavailable, within } from '../storage/deadline.ts';
import type { Credential, UserCache } from './decisions/user-cache.ts';

export interface Authentication {
  /**
   * The principal behind an `Authorization` header, at once if the key is known. Throws `unauthenticated`, the same for
   * an unknown key and a wrong secret. That the key still stands is found out with the question, on its snapshot: by
   * `access-check.ts`. A key with a typing error costs no query.
   */
  authenticate(header: string | undefined, deadline: Deadline): Principal | Promise<Principal>;
}

export function openAuthentication(cache: UserCache): Authentication {
  async function principalFromDatabase(
    keyId: string,
    secret: string,
    deadline: Deadline,
  ): Promise<Principal> {
    // What was changed while it was read is not kept, and is read again.
    for (;;) {
      const late = () => unavailable('the database did not answer in time');
      const { absentKeys } = await within(deadline, cache.fill([], [keyId]), late);
      const credential = cache.credential(keyId);
      if (credential || absentKeys.has(keyId)) return principalOf(credential, secret);
    }
  }

  return {
    authenticate(header, deadline) {
      const token = bearerToken(header);
      if (token === undefined)
        throw new RolecallError('unauthenticated', 'send `Authorization: Bearer <API key>`');
      const key = parseApiKey(token);
      if (!key) throw notValid();
      const known = cache.credential(key.id);
      if (known) return principalOf(known, key.secret);
      if (!checksumMatches(token)) throw notValid();
      return principalFromDatabase(key.id, key.secret, deadline);
    },
  };
}

/** The refusal of a key, which never says why. */
export function notValid(): RolecallError {
  return new RolecallError('unauthenticated', 'this API key is not valid');
}

function principalOf(credential: Credential | undefined, secret: string): Principal {
  const matches = secretMatches(secret, credential?.secretHash);
  if (!credential || !matches || credential.revoked) throw notValid();
  return credential.principal;
}

function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
}
