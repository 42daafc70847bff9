import type { PermissionSlug } from '../ids.ts';
import { nameOf, parsePermissionName, parsePermissionReference, reservedResource } from '../permissions.ts';
import { didYouMean } from '../suggestions.ts';
import type { DeclaredPermission } from './document.ts';
import type { Item } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';

/** Which permissions a file may refer to. */
export interface Vocabulary {
  /** `resource.action` of every declared and every reserved permission. */
  readonly names: ReadonlySet<string>;
  /** The one of them that a slug stands for. */
  readonly bySlug: ReadonlyMap<PermissionSlug, string>;
  /** What a wildcard expands to: declared permissions only, never reserved ones. */
  readonly byResource: ReadonlyMap<string, readonly PermissionSlug[]>;
  readonly wildcards: readonly string[];
}

/** What a file and the layers it depends on declare, and the reserved ones that every file may use. */
export function vocabularyOf(
  declared: readonly DeclaredPermission[],
  reserved: readonly DeclaredPermission[],
): Vocabulary {
  const all = [...declared, ...reserved];
  const byResource = groupByResource(declared);
  return {
    names: new Set(all.map(nameOf)),
    bySlug: new Map(all.map((permission) => [permission.slug, nameOf(permission)])),
    byResource,
    wildcards: [...byResource.keys()].map((resource) => `${resource}.*`),
  };
}

function groupByResource(declared: readonly DeclaredPermission[]): Map<string, PermissionSlug[]> {
  const byResource = new Map<string, PermissionSlug[]>();
  for (const { resource, slug } of declared) {
    const slugs = byResource.get(resource);
    if (slugs === undefined) byResource.set(resource, [slug]);
    else slugs.push(slug);
  }
  return byResource;
}

/** The permissions that a role's list names, wildcards expanded, sorted and distinct; what it cannot mean is noted. */
export function expandPermissions(
  items: readonly Item[],
  vocabulary: Vocabulary,
  faults: FaultList,
): PermissionSlug[] {
  const firstAt = new Map<string, number>();
  const given = new Set<PermissionSlug>();
  for (const item of items) {
    const meaning = item.text.includes('*')
      ? expandWildcard(item, vocabulary, faults)
      : findPermission(item, vocabulary, faults);
    if (meaning === undefined) continue;
    const first = firstAt.get(meaning.canonical);
    if (first === undefined) firstAt.set(meaning.canonical, item.at);
    else faults.add(item.at, 'duplicate', `duplicate ${quoted(item.text)}, first at ${faults.place(first)}`);
    for (const slug of meaning.slugs) given.add(slug);
  }
  return [...given].sort();
}

/** What an item stands for; items with one canonical text say the same in different notations. */
interface Meaning {
  readonly canonical: string;
  readonly slugs: readonly PermissionSlug[];
}

/** The permissions that a list names one by one, in its order; what is unknown is noted and left out. */
export function findPermissions(
  items: readonly Item[],
  vocabulary: Vocabulary,
  faults: FaultList,
): PermissionSlug[] {
  return items.flatMap((item) => findPermission(item, vocabulary, faults)?.slugs ?? []);
}

function findPermission({ text, at }: Item, vocabulary: Vocabulary, faults: FaultList): Meaning | undefined {
  const reference = parsePermissionReference(text);
  if (!reference.ok) {
    faults.add(at, 'malformed_name', `malformed permission ${quoted(text)}: ${reference.why}`);
    return undefined;
  }
  const slug = reference.value;
  const namesake = vocabulary.bySlug.get(slug);
  // Written with both parts, both must be right: `a.b_c` does not stand for `a_b.c`, though their slugs agree.
  const name = parsePermissionName(text);
  const isExact = !name.ok || vocabulary.names.has(nameOf(name.value));
  if (namesake !== undefined && isExact) return { canonical: slug, slugs: [slug] };

  const detail = `unknown permission ${quoted(text)}`;
  if (namesake !== undefined) faults.add(at, 'unknown_permission', detail + didYouMean([namesake]));
  else faults.addUnknown(at, 'unknown_permission', detail, text, vocabulary.names);
  return undefined;
}

function expandWildcard(item: Item, vocabulary: Vocabulary, faults: FaultList): Meaning | undefined {
  const wildcard = /^(?:([^.:*]+)[.:])?\*$/.exec(item.text);
  if (wildcard === null) {
    const detail = `malformed wildcard ${quoted(item.text)}: a wildcard is "*" or "resource.*"`;
    faults.add(item.at, 'malformed_name', detail);
    return undefined;
  }
  const resource = wildcard[1];
  return resource === undefined
    ? expandEverything(item.at, vocabulary, faults)
    : expandResource(resource, item, vocabulary, faults);
}

function expandEverything(at: number, vocabulary: Vocabulary, faults: FaultList): Meaning {
  const slugs = [...vocabulary.byResource.values()].flat();
  if (slugs.length === 0) faults.add(at, 'unmatched_wildcard', '"*" matches no permission');
  return { canonical: '*', slugs };
}

function expandResource(
  resource: string,
  { text, at }: Item,
  { byResource, wildcards }: Vocabulary,
  faults: FaultList,
): Meaning | undefined {
  const canonical = `${resource}.*`;
  const slugs = byResource.get(resource);
  if (slugs !== undefined) return { canonical, slugs };
  if (resource === reservedResource)
    faults.add(at, 'reserved_resource', `${quoted(text)} is refused, name built-in permissions one by one`);
  else
    faults.addUnknown(
      at,
      'unmatched_wildcard',
      `${quoted(text)} matches no permission`,
      canonical,
      wildcards,
    );
  return undefined;
}
