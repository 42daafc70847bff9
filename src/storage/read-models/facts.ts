import type { Catalogue } from '../../domain/decision/catalogue.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Instant, UserId } from '../../domain/ids.ts';
import type { ReadHandle } from '../database.ts';
import type { CatalogueAt } from './catalogue-at.ts';
import { readMoment } from './moment.ts';
import { loadUsers } from './user-rows.ts';

/** Everything that decisions about some users need. */
export interface Facts {
  /** The primary's clock when the rows were read. */
  readonly now: Instant;
  readonly catalogue: Catalogue;
  /** Who does not exist is not there. */
  readonly users: ReadonlyMap<UserId, UserAccess>;
}

/** Reads it in statements that go out together: of one state if nothing can change between them. */
export async function loadFacts(
  handle: ReadHandle,
  catalogueAt: CatalogueAt,
  users: readonly UserId[],
): Promise<Facts> {
  const [moment, rows] = await Promise.all([readMoment(handle.sql), loadUsers(handle.sql, users, [])]);
  return {
    now: moment.now,
    catalogue: await catalogueAt(handle, moment),
    users: new Map(rows.users.map(({ id, access }) => [id, access])),
  };
}
