import { index, primaryKey } from 'drizzle-orm/pg-core';
import { keyOf, rolecall } from './columns.ts';
import { identities } from './identities.ts';
import { mappings } from './mappings.ts';

/** Which mappings the newest token of an identity met. What they give its user are grants of origin `claim`. */
export const identityMappings = rolecall.table(
  'identity_mappings',
  {
    identityPk: keyOf('identity_pk')
      .notNull()
      .references(() => identities.pk, { onDelete: 'restrict' }),
    mappingPk: keyOf('mapping_pk')
      .notNull()
      .references(() => mappings.pk, { onDelete: 'restrict' }),
  },
  (table) => [
    primaryKey({ name: 'identity_mappings_pkey', columns: [table.identityPk, table.mappingPk] }),
    index('identity_mappings_mapping_pk_index').on(table.mappingPk),
  ],
);
