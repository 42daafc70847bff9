import type { PermissionSlug } from '../ids.ts';
import { nameOf, type PermissionName, slugOf } from '../permissions.ts';

/** Two permissions that were compared and are both meant. */
export type Acknowledgement = readonly [PermissionSlug, PermissionSlug];

/** `resource.action` of two permissions that are easily taken for each other. */
export type Twins = readonly [string, string];

/**
 * Pairs of permissions of different resources that differ in nothing else but a singular or plural:
 * `adminpanel.view_documents` beside `documents.view_document`. A one-word action such as `create` belongs to many
 * resources and makes twins only if the resources are alike too. What was acknowledged is left out.
 */
export function nearTwins(
  permissions: readonly PermissionName[],
  acknowledged: readonly Acknowledgement[],
): readonly Twins[] {
  const known = new Set(acknowledged.map((pair) => pair.toSorted().join(' ')));
  const alike = new Map<string, PermissionName[]>();
  for (const permission of permissions) {
    const action = withoutNumber(permission.action);
    const key = action.includes('_') ? action : `${withoutNumber(permission.resource)}.${action}`;
    alike.set(key, [...(alike.get(key) ?? []), permission]);
  }
  const pairs = [...alike.values()].flatMap((group) =>
    group.flatMap((one, index) =>
      group
        .slice(index + 1)
        .filter((other) => other.resource !== one.resource)
        .map((other) => [one, other].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))),
    ),
  );
  return pairs
    .filter((pair) => !known.has(pair.map(slugOf).sort().join(' ')))
    .map(([one, other]): Twins => [nameOf(one as PermissionName), nameOf(other as PermissionName)])
    .sort();
}

/** What people read of a pair, and what silences it. */
export function describeTwins([one, other]: Twins): string {
  return `${one} and ${other} are easily taken for each other; if both are meant, say so: acknowledge: { ${one}: [${other}] }`;
}

function withoutNumber(words: string): string {
  return words
    .split('_')
    .map((word) => word.replace(/ies$/, 'y').replace(/(?<=[a-z]{2})s$/, ''))
    .join('_');
}
