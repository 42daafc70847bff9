import { sql } from 'drizzle-orm';
import { bigint, check, integer, jsonb, unique } from 'drizzle-orm/pg-core';
import { exactText, rolecall } from './columns.ts';

/** The layers as last applied, whole, so that the next plan can tell what the file changed from what people changed. */
export const matrixLayers = rolecall.table(
  'matrix_layers',
  {
    id: exactText().primaryKey(),
    position: integer().notNull(),
    contentHash: exactText('content_hash').notNull(),
    content: jsonb().notNull(),
    appliedAtRevision: bigint('applied_at_revision', { mode: 'number' }).notNull(),
  },
  (table) => [
    unique('matrix_layers_position_key').on(table.position),
    check(
      'matrix_layers_id_form',
      sql`${table.id} ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$' and ${table.id} <> 'api'`,
    ),
    check('matrix_layers_content_hash_form', sql`${table.contentHash} ~ '^[0-9a-f]{64}$'`),
  ],
);
