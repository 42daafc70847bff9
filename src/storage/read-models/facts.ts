import type { Catalogue } from '../../domain/decision/catalogue.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Instant, UserId } from '../../domain/ids.ts';
import type { ReadHandle } from '../database.ts';
import type { CatalogueAt } from './catalogue-at.ts';
import type { Moment } from './moment.ts';
import { type PersonRow, person } from './user-rows.ts';

/** Everything that decisions about some users need. */
export interface Facts {
  /** The primary's clock when the rows were read. */
  readonly now: Instant;
  readonly catalogue: Catalogue;
  /** Who does not exist is not there. */
  readonly users: ReadonlyMap<UserId, UserAccess>;
}

/** The same, with whether the credential that was asked about may still be used. */
export interface FactsOfCaller extends Facts {
  readonly credentialStands: boolean;
}

interface Row extends Moment {
  readonly users: readonly PersonRow[];
  readonly credentialStands: boolean;
}

/**
 * Reads it in one statement, and the catalogue in another where it is not known: of one state if nothing can change between them.
 * The credential is named by its internal key, that of an identity below zero.
 */
export async function loadFacts(
  handle: ReadHandle,
  catalogueAt: CatalogueAt,
  users: readonly UserId[],
  credentialPk = 0,
): Promise<FactsOfCaller> {
  const { sql } = handle;
  const [row] = await sql<[Row]>`
    select json_build_object('epoch', epoch, 'value', value) as revision, catalogue_value::float8 as "catalogueValue",
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select coalesce(json_agg(${person(sql)}), '[]')
        from rolecall.users as people where id = any(${[...users]}::text[])) as users,
      exists (select from rolecall.api_keys where pk = ${credentialPk}
        and revoked_at is null and (expires_at is null or expires_at > clock_timestamp()))
      or exists (select from rolecall.identities where pk = -${credentialPk}::bigint) as "credentialStands"
    from rolecall.revision`;
  const { now, credentialStands } = row;
  return {
    ...{ now, credentialStands },
    catalogue: await catalogueAt(handle, row),
    users: new Map(row.users.map(({ pk: _, id, ...access }) => [id, access])),
  };
}
