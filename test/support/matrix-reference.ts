/**
 * What applying a matrix means, a second time and as plain sets of texts: `<subject> <origin> <sign>` for edges and
 * includes, where a subject is `edge role permission` or `include role role`. Slow and obvious.
 */
export interface ReferenceState {
  /** Rows as they are. */
  readonly rows: ReadonlySet<string>;
  /** Rows of layers as the files said when last applied. */
  readonly applied: ReadonlySet<string>;
}

const parse = (row: string) => {
  const [kind, role, target, origin, sign] = row.split(' ');
  return { subject: `${kind} ${role} ${target}`, origin, sign, role, permission: target };
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
export function referenceApply(
  { rows, applied }: ReferenceState,
  declared: ReadonlySet<string>,
  isMoot: (role: string, target: string) => boolean,
  accept: 'matrix' | 'live' | undefined,
): ReferenceOutcome {
  const after = new Set(declared);
  const conflicts = new Set<string>();
  for (const row of rows) {
    const { subject, origin, sign, role, permission } = parse(row);
    if (origin !== 'api' || isMoot(String(role), String(permission))) continue;
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
