import { parseApiKey, secretMatches } from '../domain/api-keys.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Principal } from '../domain/principals.ts';
import { findCredential } from '../storage/api-keys.ts';
import type { Database } from '../storage/database.ts';
import type { Deadline } from '../storage/deadline.ts';

export interface Authentication {
  /**
   * The principal behind an `Authorization` header. Throws `unauthenticated`, the same for an unknown key and a wrong
   * secret, for a revoked or expired key and one whose user is inactive. A key with a typing error costs no query.
   */
  authenticate(header: string | undefined, deadline: Deadline): Promise<Principal>;
}

export function openAuthentication(database: Database): Authentication {
  return {
    async authenticate(header, deadline) {
      const [, token] = /^Bearer +(\S+)$/i.exec(header ?? '') ?? [];
      if (token === undefined)
        throw new RolecallError('unauthenticated', 'send `Authorization: Bearer <API key>`');
      const key = parseApiKey(token);
      const credential = key && (await database.run(deadline, (sql) => findCredential(sql, key.id)));
      const matches = key !== undefined && secretMatches(key.secret, credential?.secretHash);
      if (!credential || !matches || !credential.valid || !credential.userActive)
        throw new RolecallError('unauthenticated', 'this API key is not valid');
      return {
        kind: 'user',
        userId: credential.userId,
        userPk: credential.userPk,
        credentialPk: credential.credentialPk,
        narrowedTo: credential.permissions && new Set(credential.permissions),
        expiresAt: credential.expiresAt,
      };
    },
  };
}
