import type { Deviation } from './changes.ts';

/** A deviation and what a comment says of it: who changed it, and when. */
export interface Remarked {
  readonly deviation: Deviation;
  readonly remark: string;
}

/**
 * Writes the layer that declares what people changed past the matrix, so that a fresh database decides as this one does.
 * It stands on all layers there are. What a layer withholds and somebody gave all the same cannot be given by another
 * layer: it is named in a comment, to be settled in the layer that withholds it.
 */
export function renderLayer(id: string, dependsOn: readonly string[], remarked: readonly Remarked[]): string {
  const lines = ['version: 1', `id: ${id}`];
  if (dependsOn.length > 0) lines.push(`depends_on: [${dependsOn.join(', ')}]`);
  lines.push(
    ...section('permissions', remarked, ({ deviation, remark }) => {
      if (deviation.kind !== 'undeclared_permission') return undefined;
      const { resource, action, description } = deviation.permission;
      return [resource, `${action}: ${text(description, 'Registered by a service')} # ${remark}`];
    }),
    ...section('roles', remarked, ({ deviation, remark }) => {
      if (deviation.kind !== 'undeclared_role' && deviation.kind !== 'role_words') return undefined;
      const { name, description } = deviation.live;
      const words = `{ name: ${text(name, deviation.role)}, description: ${text(description, 'Made by hand')} }`;
      return [deviation.role, `${words} # ${remark}`];
    }),
  );
  for (const [member, kind, live] of amendments)
    lines.push(
      ...section(member, remarked, ({ deviation, remark }) => {
        if (deviation.kind !== kind || deviation.live !== live || isImpossible(deviation)) return undefined;
        const target = 'included' in deviation ? deviation.included : deviation.permission;
        return [deviation.role, `- ${target} # ${remark}`];
      }),
    );
  const impossible = remarked.filter(({ deviation }) => isImpossible(deviation));
  for (const { deviation, remark } of impossible)
    if ('layers' in deviation) {
      const target = 'included' in deviation ? deviation.included : deviation.permission;
      lines.push(
        `# ${deviation.layers.join(', ')} withholds ${target} from ${deviation.role}: change it there; ${remark}`,
      );
    }
  return `${lines.join('\n')}\n`;
}

const amendments = [
  ['add', 'edge', 'given'],
  ['withhold', 'edge', 'withheld'],
  ['include', 'include', 'given'],
  ['exclude', 'include', 'withheld'],
] as const;

function isImpossible(deviation: Deviation): boolean {
  return 'layers' in deviation && deviation.live === 'given' && deviation.layers.length > 0;
}

/** A member of the file, its lines under the names they belong to; nothing where there are none. */
function section(
  member: string,
  remarked: readonly Remarked[],
  lineOf: (one: Remarked) => readonly [under: string, line: string] | undefined,
): string[] {
  const groups = new Map<string, string[]>();
  for (const one of remarked) {
    const [under, line] = lineOf(one) ?? [];
    if (under === undefined || line === undefined) continue;
    const group = groups.get(under) ?? [];
    groups.set(under, group);
    group.push(line);
  }
  if (groups.size === 0) return [];
  const isInline = member === 'roles';
  return [
    '',
    `${member}:`,
    ...[...groups]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([under, rows]) =>
        isInline
          ? rows.map((row) => `  ${under}: ${row}`)
          : [`  ${under}:`, ...rows.map((row) => `    ${row}`)],
      ),
  ];
}

/** A text as files take it: not empty, on one line. */
function text(words: string, otherwise: string): string {
  return JSON.stringify(words.replaceAll(/\p{Cc}+/gu, ' ').trim() || otherwise);
}
