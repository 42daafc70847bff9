import type { Catalogue } from '../../domain/decision/catalogue.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { allSlugs } from '../../storage/permissions.ts';
import { loadFacts } from '../../storage/read-models/decision-rows.ts';
import type { Moment } from '../../storage/read-models/moment.ts';
import { allRoleKeys } from '../../storage/roles.ts';

/** The whole catalogue as a snapshot has it, of which the moment was read. */
export type CatalogueAt = (handle: ReadHandle, moment: Moment) => Promise<Catalogue>;

/** Keeps the catalogue that was asked for last, and reads it anew only where another catalogue revision stands. */
export function openCatalogueAt(): CatalogueAt {
  let known: { readonly of: string; readonly catalogue: Catalogue } | undefined;
  return async (handle, { revision, catalogueValue }) => {
    const of = `${revision.epoch} ${catalogueValue}`;
    if (known?.of === of) return known.catalogue;
    const { catalogue } = await loadFacts(handle.sql, {
      users: [],
      roles: await allRoleKeys(handle),
      permissions: await allSlugs(handle),
    });
    known = { of, catalogue };
    return catalogue;
  };
}
