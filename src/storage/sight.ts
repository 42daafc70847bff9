import { sql as raw, type SQL } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Scope } from '../domain/ids.ts';
import { isUnlimited, type Sight } from '../domain/sight.ts';

/** The condition that a row's scope lies in sight, as `sees` says it; undefined where everything does. */
export function inSight(scope: PgColumn, sight: Sight): SQL | undefined {
  if (isUnlimited(sight)) return undefined;
  const covered = (by: readonly Scope[]) => raw`exists (
    select 1 from jsonb_array_elements_text(${JSON.stringify(by)}::text::jsonb) as held (place)
    where place = '' or place = ${scope} or starts_with(${scope}, place || '/'))`;
  return raw`(${covered(sight.scopes)} and not ${covered(sight.denied)})`;
}
