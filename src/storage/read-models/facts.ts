import type { Catalogue } from '../../domain/decision/catalogue.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Instant, UserId } from '../../domain/ids.ts';
import type { ReadHandle } from '../database.ts';
import type { CatalogueAt } from './catalogue-at.ts';
import { loadUsers } from './user-rows.ts';

/** Everything that decisions about some users need. */
export interface Facts {
  /** The primary's clock when the rows were read. */
  readonly now: Instant;
  readonly catalogue: Catalogue;
  /** Who does not exist is not there. */
  readonly users: ReadonlyMap<UserId, UserAccess>;
}

/** The same, with which of some credentials may still be used, by their internal keys; an identity's is below zero. */
export interface FactsOfCredentials extends Facts {
  readonly standing: ReadonlySet<number>;
}

/** Reads it in one statement, and the catalogue in another where it is not known: of one state if nothing can change between them. */
export async function loadFacts(
  handle: ReadHandle,
  catalogueAt: CatalogueAt,
  users: readonly UserId[],
  credentialIds: readonly string[] = [],
): Promise<FactsOfCredentials> {
  const rows = await loadUsers(handle.sql, users, credentialIds);
  const { now, credentials, identities } = rows;
  const keys = credentials.filter(({ revoked, expiresAt }) => !revoked && (expiresAt ?? now + 1) > now);
  return {
    now,
    catalogue: await catalogueAt(handle, rows),
    users: new Map(rows.users.map(({ id, access }) => [id, access])),
    standing: new Set([...keys.map(({ pk }) => pk), ...identities.map(({ pk }) => -pk)]),
  };
}
