import { Catalogue } from '../../domain/decision/catalogue.ts';
import { changesCatalogue, type JournalEntry } from '../../domain/journal-entries.ts';
import type { ReadHandle } from '../database.ts';
import { loadChanges } from './changes.ts';
import type { Moment } from './moment.ts';

/** The whole catalogue as a snapshot has it, of which the moment was read. */
export type CatalogueAt = (handle: ReadHandle, moment: Moment) => Promise<Catalogue>;

/** Keeps the catalogue that was asked for last, and reads it anew only where another catalogue revision stands. */
export function openCatalogueAt(): CatalogueAt {
  let known: { readonly of: string; readonly catalogue: Catalogue } | undefined;
  return async (handle, { revision, catalogueValue }) => {
    const of = `${revision.epoch} ${catalogueValue}`;
    if (known?.of !== of) known = { of, catalogue: await readCatalogue(handle) };
    return known.catalogue;
  };
}

/** What a write, with these entries so far, sees: what it makes of the catalogue is nobody else's before it is committed. */
export function catalogueWith(entries: readonly JournalEntry[], committed: CatalogueAt): CatalogueAt {
  return (handle, moment) =>
    entries.some(({ kind }) => changesCatalogue(kind)) ? readCatalogue(handle) : committed(handle, moment);
}

async function readCatalogue({ sql }: ReadHandle): Promise<Catalogue> {
  const { catalogue: rows } = await loadChanges(sql);
  if (!rows) throw new Error('the catalogue was not read');
  return new Catalogue(rows);
}
