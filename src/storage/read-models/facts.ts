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

/** The same, with what a caller is held to. */
export interface FactsOfCallers extends Facts {
  /** Of the credentials that were asked about, those that may still be used, and when each ends by itself, or null. */
  readonly standing: ReadonlyMap<number, Instant | null>;
  /** The internal key of each user. Whoever was given the id of a deleted user has a different key. */
  readonly userPks: ReadonlyMap<UserId, number>;
}

const noAccess: UserAccess = { active: false, grants: [], exceptions: [] };

/** What a user has; nothing, if they do not exist. */
export function accessOf({ users }: Pick<Facts, 'users'>, user: UserId): UserAccess {
  return users.get(user) ?? noAccess;
}

interface Row extends Moment {
  readonly users: readonly PersonRow[];
  readonly standing: readonly (readonly [credentialPk: number, endsAt: Instant | null])[];
}

/**
 * Reads the facts in one statement, and the catalogue in a second one unless it is known already. The two
 * belong to one state only if nothing can change between them, as on one snapshot or under the revision lock.
 * Credentials are named by their internal keys, those of identities below zero.
 */
export async function loadFacts(
  handle: ReadHandle,
  catalogueAt: CatalogueAt,
  users: readonly UserId[],
  credentialPks: readonly number[] = [],
): Promise<FactsOfCallers> {
  const { sql } = handle;
  const keys = credentialPks.filter((pk) => pk > 0).map(String);
  const identities = credentialPks.filter((pk) => pk < 0).map((pk) => String(-pk));
  const [row] = await sql<[Row]>`
    select json_build_object('epoch', epoch, 'value', value) as revision, catalogue_value::float8 as "catalogueValue",
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select coalesce(json_agg(${person(sql)}), '[]')
        from rolecall.users as people where id = any(${[...users]}::text[])) as users,
      (select coalesce(json_agg(json_build_array(pk, extract(epoch from expires_at) * 1000)), '[]') from (
        select pk, expires_at from rolecall.api_keys where pk = any(${keys}::text[]::bigint[])
          and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
        union all select -pk, null from rolecall.identities where pk = any(${identities}::text[]::bigint[])) as those) as standing
    from rolecall.revision`;
  return {
    now: row.now,
    standing: new Map(row.standing),
    userPks: new Map(row.users.map(({ pk, id }) => [id, pk])),
    catalogue: await catalogueAt(handle, row),
    users: new Map(row.users.map(({ pk: _, id, ...access }) => [id, access])),
  };
}
