import type { CatalogObject } from './catalog.ts';

/** Data that a way down drops: a whole table, or columns of one that stays. */
export interface Loss {
  readonly table: string;
  /** Null for the whole table. */
  readonly columns: readonly string[] | null;
}

export interface Losses {
  readonly kept: readonly Loss[];
  /** What has no archive path, in words. */
  readonly unkept: readonly string[];
}

/** The ledger is not data: its rows say which steps are there, and go and come with them. */
const ledger = 'migrations';

/** What stands in the catalog before a way down and not after it, as far as rows are in it. */
export function lossesBetween(before: readonly CatalogObject[], after: readonly CatalogObject[]): Losses {
  const left = new Map(after.map(({ name, definition }) => [name, definition]));
  const tables = before
    .map(({ name }) => /^table (.*)$/.exec(name)?.[1])
    .filter((table) => table !== undefined);
  const hasColumns = (table: string) => before.some(({ name }) => name.startsWith(`column ${table}.`));
  const gone = (table: string) => !left.has(`table ${table}`);
  const kept: Loss[] = tables
    .filter((table) => gone(table) && hasColumns(table) && table !== ledger)
    .map((table) => ({ table, columns: null }));
  const unkept: string[] = [];
  for (const table of tables.filter((name) => !gone(name))) {
    const prefix = `column ${table}.`;
    const columns = before.filter(({ name }) => name.startsWith(prefix));
    const dropped = columns.filter(({ name, definition }) => !left.has(name) && !isComputed(definition));
    const hasKey = before.some(
      ({ name, definition }) =>
        name.startsWith(`constraint ${table}.`) &&
        definition.startsWith('PRIMARY KEY') &&
        left.get(name) === definition,
    );
    if (dropped.length > 0 && hasKey)
      kept.push({ table, columns: dropped.map(({ name }) => name.slice(prefix.length)) });
    else if (dropped.length > 0)
      unkept.push(`columns of ${table}, which keeps no primary key to find their rows by`);
    for (const { name, definition } of columns)
      if (left.has(name) && typeOf(left.get(name) ?? '') !== typeOf(definition))
        unkept.push(`${name} would become ${typeOf(left.get(name) ?? '')}`);
  }
  for (const { name, definition } of before)
    if (name.startsWith('sequence ') && !left.has(name) && !/ of \w+\.\w+$/.test(definition))
      unkept.push(name);
  return { kept, unkept };
}

/** The columns of each table that are there before and after, in the same type. */
export function columnsThatStay(
  before: readonly CatalogObject[],
  after: readonly CatalogObject[],
): ReadonlyMap<string, readonly string[]> {
  const left = new Map(after.map(({ name, definition }) => [name, typeOf(definition)]));
  const stay = new Map<string, string[]>();
  for (const { name, definition } of before) {
    const [, table, column] = /^column (\w+)\.(.*)$/.exec(name) ?? [];
    if (table && column && left.get(name) === typeOf(definition))
      stay.set(table, [...(stay.get(table) ?? []), column]);
  }
  return stay;
}

function typeOf(definition: string): string {
  return definition.split(/ (?:collate|not null|default|generated)\b/, 1)[0] ?? definition;
}

function isComputed(definition: string): boolean {
  return definition.includes(' generated always as (');
}
