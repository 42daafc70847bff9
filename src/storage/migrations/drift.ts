import type { CatalogObject } from './catalog.ts';
import type { Step } from './steps.ts';

/** One way in which the live catalog is not what the newest step promises. */
export interface Drift {
  readonly object: string;
  readonly fault: 'missing' | 'changed' | 'unexpected';
  /** The step that made what is missing, or that made what is changed as it should be; null for what no step makes. */
  readonly step: string | null;
  readonly expected: string | null;
  readonly found: string | null;
}

/** The database roles of the row-level kit: what is allowed to them is expected once any of them is allowed anything. */
const ourRoles = /^grant .* to rolecall_(?:owner|service|reader)$/;

/**
 * Compares the live catalog with what is to be there after the newest of the `applied` steps. What belongs to a table
 * that is missing, or that nobody expects, is not listed besides the table.
 */
export function findDrift(applied: readonly Step[], live: readonly CatalogObject[]): readonly Drift[] {
  const expected = byName(expectedAfter(applied.at(-1), live));
  const found = byName(live);
  const drifts: Drift[] = [];
  for (const name of new Set([...expected.keys(), ...found.keys()])) {
    const [wanted, seen] = [expected.get(name) ?? null, found.get(name) ?? null];
    if (wanted === seen) continue;
    const fault = seen === null ? 'missing' : wanted === null ? 'unexpected' : 'changed';
    const step = wanted === null ? null : stepThatMade(applied, name, fault === 'changed' ? wanted : null);
    drifts.push({ object: name, fault, step, expected: wanted, found: seen });
  }
  const tables = drifts.filter(({ object, fault }) => object.startsWith('table ') && fault !== 'changed');
  return drifts
    .filter((drift) => !tables.some((table) => drift !== table && isPartOf(drift, table.object.slice(6))))
    .sort((a, b) => (a.object < b.object ? -1 : 1));
}

/** What a service needs of what the newest step promises, and is not there, by the names from `nameCatalog`. */
export function findMissing(newest: Step | undefined, live: ReadonlySet<string>): readonly string[] {
  const needed = (newest?.catalog ?? []).map(({ name }) => name);
  const isNeeded = (name: string) => /^(?:table|column|constraint|index) /.test(name) && !live.has(name);
  const missing = needed.filter(isNeeded);
  return missing.filter((name) => {
    const table = /^(?:column|constraint|index) (\w+)\./.exec(name)?.[1];
    return table === undefined || !missing.includes(`table ${table}`);
  });
}

/** Whether the live catalog is what is to be there after this step. */
export function isAsAfter(step: Step, live: readonly CatalogObject[]): boolean {
  return step.catalog !== null && findDrift([step], live).length === 0;
}

/** What is to be there after a step; nothing before the first. A step that was never described promises nothing. */
function expectedAfter(step: Step | undefined, live: readonly CatalogObject[]): readonly CatalogObject[] {
  if (!step?.catalog) return [];
  const withRoles = live.some(({ name }) => ourRoles.test(name));
  return withRoles ? [...step.catalog, ...step.roleGrants] : step.catalog;
}

/** The first of the newest steps in a row that all promise the object, in this form or, for null, in any. */
function stepThatMade(applied: readonly Step[], object: string, form: string | null): string | null {
  const promises = (step: Step) =>
    [...(step.catalog ?? []), ...step.roleGrants].some(
      ({ name, definition }) => name === object && (form === null || definition === form),
    );
  const before = applied.findLastIndex((step) => !promises(step));
  return applied[before + 1]?.name ?? null;
}

function isPartOf({ object, expected, found }: Drift, table: string): boolean {
  const owner = /^(?:grant table|\w+) ([^. ]+)/.exec(object)?.[1];
  return owner === table || (expected ?? found ?? '').endsWith(` of ${table}.pk`);
}

function byName(objects: readonly CatalogObject[]): Map<string, string> {
  return new Map(objects.map(({ name, definition }) => [name, definition]));
}
