import { type Deviation, type EdgeChange, isEdge, type MatrixChange } from '../domain/matrix/changes.ts';
import type { MatrixUserImpact } from '../domain/matrix/impact.ts';
import type { MatrixPlan, Provenance, TracedDeviation } from '../domain/matrix/plan.ts';
import { describeTwins } from '../domain/matrix/twins.ts';
import { nameOf } from '../domain/permissions.ts';
import { count } from './output.ts';

/** How much a report names; the rest it counts. */
export interface Extent {
  /** People for one permission. */
  readonly people: number;
  /** Permissions in one line. */
  readonly permissions: number;
}

export const brief: Extent = { people: 5, permissions: 8 };
export const full: Extent = { people: Number.POSITIVE_INFINITY, permissions: Number.POSITIVE_INFINITY };

/** A plan as a person reviews it: first who loses and gains what, then what changes, then one line of totals. */
export function describePlan(plan: MatrixPlan, extent: Extent): string {
  const { losses, gains, conflicts, kept, changes, retirements, leftRoles, twins } = plan;
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['Loses', describeImpact('-', losses, extent)],
    ['Gains', describeImpact('+', gains, extent)],
    [
      'Conflicts, to be settled with --accept matrix or --accept live',
      conflicts.map((one) => `! ${describeDeviation(one)}`),
    ],
    ['Stays as people left it', kept.map((one) => `= ${describeDeviation(one)}`)],
    ['Changes', describeChanges(changes, extent)],
    [
      'Whom a retired permission concerns',
      retirements
        .filter(({ roles, users }) => roles.length + users.length > 0)
        .map(({ permission, roles, users }) => {
          const of = users.length > 0 ? `; exceptions of ${list(users, extent.people)}` : '';
          return `${permission}: roles ${list(roles, extent.permissions)}${of}`;
        }),
    ],
    [
      'No longer declared, left because users, a setting or a mapping have them',
      leftRoles.map(({ role, holders }) => `${role}: ${count(holders, 'user')}`),
    ],
    ['Worth a look', twins.map(describeTwins)],
  ];
  return [
    ...sections
      .filter(([, lines]) => lines.length > 0)
      .map(([title, lines]) => [`${title}:`, ...lines.map((line) => `  ${line}`), ''].join('\n')),
    totalsOf(plan),
  ].join('\n');
}

function totalsOf({ gains, losses, changes, kept, conflicts, isEmpty }: MatrixPlan): string {
  if (isEmpty) return 'Nothing to do: the matrix is applied.';
  const people = (impacts: readonly MatrixUserImpact[]) =>
    count(new Set(impacts.map(({ user }) => user)).size, 'user');
  return `${people(losses)} lose, ${people(gains)} gain; ${count(changes.length, 'change')}, ${conflicts.length} in conflict, ${kept.length} kept as people left them.`;
}

/** One line for each permission, with those whom it concerns. */
function describeImpact(sign: string, impacts: readonly MatrixUserImpact[], extent: Extent): string[] {
  const people = new Map<string, string[]>();
  for (const { user, scope, permissions } of impacts)
    for (const permission of permissions) {
      const named = people.get(permission) ?? [];
      people.set(permission, named);
      named.push(scope === '' ? user : `${user} in ${scope}`);
    }
  return [...people]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([permission, named]) => `${sign} ${permission}: ${list(named, extent.people)}`);
}

function list(names: readonly string[], most: number): string {
  const more = names.length > most ? ` and ${names.length - most} more` : '';
  return names.slice(0, most).join(', ') + more;
}

/** The changes, edges of one role and origin in one line. */
export function describeChanges(changes: readonly MatrixChange[], extent: Extent): string[] {
  const edges = new Map<string, string[]>();
  const lines: string[] = [];
  for (const change of changes) {
    if (!isEdge(change)) {
      lines.push(describeChange(change));
      continue;
    }
    const { kind, role, origin, withheld, permission } = change;
    const sign = kind === 'edge_added' ? '+' : '-';
    const line = `${sign} ${role} ${withheld ? 'is withheld' : 'gives'}, by ${origin}`;
    const permissions = edges.get(line) ?? [];
    edges.set(line, permissions);
    permissions.push(permission);
  }
  return [
    ...lines,
    ...[...edges].map(([line, permissions]) => `${line}: ${list(permissions, extent.permissions)}`),
  ];
}

function describeChange(change: Exclude<MatrixChange, EdgeChange>): string {
  switch (change.kind) {
    case 'permission_declared':
      return `${change.revives ? '~' : '+'} permission ${nameOf(change.permission)}, by ${change.layer}`;
    case 'permission_described':
      return `~ permission ${change.slug}: ${JSON.stringify(change.before)} becomes ${JSON.stringify(change.after)}`;
    case 'permission_retired':
      return `- permission ${change.slug}; the name stays reserved`;
    case 'role_declared':
      return `${change.revives ? '~' : '+'} role ${change.role.key}, by ${change.layer}`;
    case 'role_described':
      return `~ role ${change.key}: ${describeRole(change.before)} becomes ${describeRole(change.after)}`;
    case 'role_undeclared':
      return `~ role ${change.key} becomes an ordinary one`;
    case 'role_removed':
      return `- role ${change.key}`;
    default: {
      const { kind, role, included, origin, withheld } = change;
      const sign = kind === 'include_added' ? '+' : '-';
      return `${sign} ${role} ${withheld ? 'leaves out' : 'includes'} ${included}, by ${origin}`;
    }
  }
}

function describeRole({ name, isSystem }: { readonly name: string; readonly isSystem: boolean }): string {
  return `${JSON.stringify(name)}${isSystem ? ' (system)' : ''}`;
}

/** What is other than the matrix says, who made it so and when. */
export function describeDeviation(deviation: TracedDeviation): string {
  return `${describeDifference(deviation)}; ${describeProvenance(deviation.changed)}`;
}

function describeDifference(deviation: Deviation): string {
  switch (deviation.kind) {
    case 'edge': {
      const { role, permission, live, layers } = deviation;
      return `${role} ${live === 'given' ? 'gives' : 'does not give'} ${permission}${opposing(layers, live)}`;
    }
    case 'include': {
      const { role, included, live, layers } = deviation;
      return `${role} ${live === 'given' ? 'includes' : 'does not include'} ${included}${opposing(layers, live)}`;
    }
    case 'role_words':
      return `${deviation.role} is called ${JSON.stringify(deviation.live.name)}, declared as ${JSON.stringify(deviation.declared.name)}`;
    case 'undeclared_role':
      return `the role ${deviation.role} is not declared`;
    case 'undeclared_permission':
      return `the permission ${nameOf(deviation.permission)} is not declared`;
  }
}

function opposing(layers: readonly string[], live: 'given' | 'withheld'): string {
  if (layers.length === 0) return ', which no layer does';
  return `, which ${layers.join(', ')} ${live === 'given' ? 'withholds' : 'declares'}`;
}

export function describeProvenance({ actor, by, at }: Provenance): string {
  if (actor === null) return 'changed past the service, of which there is no record';
  const who = actor === 'user' ? (by ?? 'a user who is no more') : `the ${actor}`;
  return `changed by ${who} at ${at}`;
}
