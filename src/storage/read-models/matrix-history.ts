import { type LayerDraft, sealLayer } from '../../domain/matrix/content-hash.ts';
import type { MatrixLayer } from '../../domain/matrix/document.ts';
import type { Provenance } from '../../domain/matrix/plan.ts';
import type { ReadHandle } from '../database.ts';
import { epochOf } from './journal-rows.ts';

/** One layer that was applied or taken away, as the journal has it. */
export interface LayerEvent {
  readonly epoch: string;
  readonly value: number;
  readonly number: number;
  readonly changed: Provenance;
  readonly layer: string;
  /** Null when it was taken away. */
  readonly contentHash: string | null;
}

/** Every time that a layer was applied or taken away, oldest first. Reads the whole journal. */
export async function readLayerEvents({ sql }: ReadHandle): Promise<readonly LayerEvent[]> {
  return sql<LayerEvent[]>`
    select ${epochOf(sql, sql`revision`)} as epoch, revision::float8 as value, number, after ->> 'contentHash' as "contentHash",
      coalesce(after, before) ->> 'layer' as layer,
      json_build_object('actor', actor_kind,
        'by', coalesce((select id from rolecall.users where users.pk = actor_pk),
          (select value from rolecall.personal where user_pk = actor_pk and field = 'id' limit 1)),
        'at', to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) as changed
    from rolecall.journal where kind in ('layer_applied', 'layer_removed') order by revision, number`;
}

/** The layers as these events applied them, in no order; one whose content the journal lacks is left out. */
export async function readLayerContents(
  { sql }: ReadHandle,
  events: readonly LayerEvent[],
): Promise<readonly MatrixLayer[]> {
  const places = events.map(({ value, number }) => ({ value, number }));
  const rows = await sql<{ id: string; content: LayerDraft }[]>`
    select after ->> 'layer' as id, after -> 'content' as content
    from jsonb_to_recordset(${JSON.stringify(places)}::text::jsonb) as place (value bigint, number int)
    join rolecall.journal on journal.revision = place.value and journal.number = place.number
    where after ? 'content'`;
  return rows.map(({ id, content }) => sealLayer(id, content));
}
