import type { RoleKey } from '../../src/domain/ids.ts';
import type { Deviation, Preference } from '../../src/domain/matrix/changes.ts';
import type { MatrixLayer } from '../../src/domain/matrix/document.ts';
import { type EdgeRow, type IncludeRow, mergeLayers } from '../../src/domain/matrix/layers.ts';

/**
 * What applying a matrix means, a second time and as plain sets of texts: `<subject> <origin> <sign>` for edges and
 * includes, where a subject is `edge role permission` or `include role role`. Slow and obvious.
 */
interface ReferenceState {
  /** Rows as they are. */
  readonly rows: ReadonlySet<string>;
  /** Rows of layers as the files said when last applied. */
  readonly applied: ReadonlySet<string>;
}

const parse = (row: string) => {
  const [kind, role, target, origin, sign] = row.split(' ');
  return { subject: `${kind} ${role} ${target}`, kind, role, target, origin, sign };
};

/** The subjects that count. */
export function standing(rows: Iterable<string>): ReadonlySet<string> {
  const all = [...rows].map(parse);
  const given = all.filter(({ sign }) => sign === '+').map(({ subject }) => subject);
  const withheld = new Set(all.filter(({ sign }) => sign === '-').map(({ subject }) => subject));
  return new Set(given.filter((subject) => !withheld.has(subject)));
}

export interface ReferenceOutcome {
  readonly rows: ReadonlySet<string>;
  readonly conflicts: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
}

/** What stands after applying what is declared, rows that are moot (of system roles, of what is retired) left out. */
function referenceApply(
  { rows, applied }: ReferenceState,
  declared: ReadonlySet<string>,
  isMoot: (row: ReturnType<typeof parse>) => boolean,
  accept: Preference | undefined,
): ReferenceOutcome {
  const after = new Set(declared);
  const conflicts = new Set<string>();
  for (const row of rows) {
    const { subject, origin, sign } = parse(row);
    if (origin !== 'api' || isMoot(parse(row))) continue;
    const same = (set: Iterable<string>) => [...set].filter((one) => parse(one).subject === subject);
    if (sign === '-') {
      // Somebody took it away: it stays so, unless the files begin to give it and win.
      const begins = standing(declared).has(subject) && !standing(applied).has(subject);
      if (begins) conflicts.add(subject);
      if (!(begins && accept === 'matrix')) after.add(row);
      continue;
    }
    after.add(row);
    // Somebody gave it, and it counts: layers that withhold it count only if they begin to and win.
    const withholding = same(declared).filter((one) => one.endsWith(' -'));
    if (withholding.length === 0 || !standing(rows).has(subject)) continue;
    const begins = withholding.some((one) => !applied.has(one));
    if (begins) conflicts.add(subject);
    if (!(begins && accept === 'matrix')) for (const one of withholding) after.delete(one);
  }
  const [wanted, stands] = [standing(declared), standing(after)];
  const differing = [...wanted, ...stands].filter((subject) => wanted.has(subject) !== stands.has(subject));
  return { rows: after, conflicts, kept: new Set(differing.filter((subject) => !conflicts.has(subject))) };
}

/** The same for layers that are applied where others were applied before. */
export function referenceOutcome(
  rows: ReadonlySet<string>,
  applied: readonly MatrixLayer[],
  declared: readonly MatrixLayer[],
  accept: Preference | undefined,
): ReferenceOutcome {
  const { permissions, roles, includes, edges } = mergeLayers(declared);
  const isKnown = (target: string) => [...permissions.keys()].some((slug) => slug === target);
  return referenceApply(
    { rows, applied: rowTexts(mergeLayers(applied)) },
    rowTexts({ includes, edges }),
    ({ kind, role, target }) =>
      roles.get(role as RoleKey)?.role.isSystem === true || (kind === 'edge' && !isKnown(String(target))),
    accept,
  );
}

type Told<Row> = { readonly [Member in keyof Row]: string | boolean };

/** Rows as texts, whoever read them. */
export function rowTexts({
  includes,
  edges,
}: {
  readonly includes: readonly Told<IncludeRow>[];
  readonly edges: readonly Told<EdgeRow>[];
}): ReadonlySet<string> {
  const sign = (row: { readonly withheld: string | boolean }) => (row.withheld ? '-' : '+');
  return new Set([
    ...includes.map((row) => `include ${row.role} ${row.included} ${row.origin} ${sign(row)}`),
    ...edges.map((row) => `edge ${row.role} ${row.permission} ${row.origin} ${sign(row)}`),
  ]);
}

/** What these deviations are about, of those that are about edges and includes. */
export function subjectsOf(deviations: readonly Deviation[]): ReadonlySet<string> {
  return new Set(
    deviations.flatMap((one) => {
      if (one.kind === 'edge') return [`edge ${one.role} ${one.permission}`];
      return one.kind === 'include' ? [`include ${one.role} ${one.included}`] : [];
    }),
  );
}
