import type { Instant } from '../../domain/ids.ts';
import type { Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';

/** Where a snapshot stands in history. */
export interface Moment {
  readonly revision: Revision;
  /** The revision of the last change of roles, permissions, includes or edges. */
  readonly catalogueValue: number;
  /** The primary's clock. */
  readonly now: Instant;
}

/** Read first in a transaction, it says of which moment everything is that is read after it. */
export async function readMoment(sql: Sql): Promise<Moment> {
  const [row] = await sql<[Moment]>`
    select json_build_object('epoch', epoch, 'value', value) as revision,
      catalogue_value::float8 as "catalogueValue",
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now
    from rolecall.revision`;
  return row;
}
