import type { PermissionSlug, RoleKey } from '../ids.ts';
import { administratorRole, builtinLayer } from './builtin.ts';
import type { DeclaredRole, RoleAmendment } from './document.ts';
import { type Entry, type Item, readEntries, readList } from './entries.ts';
import { type FaultList, quoted } from './faults.ts';
import { findIncludes, findRoles, type IncludeGraph } from './includes.ts';
import { expandPermissions, type Vocabulary } from './references.ts';

/** What names mean in a layer, and where its includes go. */
export interface AmendmentContext {
  readonly vocabulary: Vocabulary;
  readonly visible: ReadonlySet<RoleKey>;
  readonly graph: IncludeGraph;
  readonly faults: FaultList;
}

/** One role of a section with its list. */
interface Written {
  readonly role: RoleKey;
  readonly at: number;
  readonly items: readonly Item[];
}

const nothing = { add: [], withhold: [], include: [], exclude: [] };

/** Reads `add`, `withhold`, `include` and `exclude`: for each role, what is added to it and what is withheld from it. */
export function readAmendments(
  members: ReadonlyMap<string, Entry>,
  own: readonly DeclaredRole[],
  context: AmendmentContext,
): RoleAmendment[] {
  const { vocabulary, visible, graph, faults } = context;
  const amendments = new Map<RoleKey, RoleAmendment>();
  const declared = new Map(own.map((role) => [role.key, role]));
  const amend = (section: keyof typeof nothing, listOf: (written: Written) => readonly string[]) => {
    const entry = members.get(section);
    for (const written of entry ? readRoleLists(entry, section, visible, faults) : []) {
      const { role } = written;
      const known = amendments.get(role) ?? { role, ...nothing };
      amendments.set(role, { ...known, [section]: listOf(written) });
    }
  };
  const refuseBoth = ({ role, at }: Written, withheld: readonly string[], given: readonly string[]) => {
    for (const what of withheld)
      if (given.includes(what))
        faults.add(at, 'contradiction', `the file both gives "${role}" ${quoted(what)} and withholds it`);
  };

  amend('add', ({ items }) => expandPermissions(items, vocabulary, faults));
  amend('include', ({ role, items }) => findIncludes(role, items, visible, graph, faults));
  amend('withhold', (written) => {
    const { role, at, items } = written;
    const withheld = expandPermissions(items, vocabulary, faults);
    refuseBoth(written, withheld, amendments.get(role)?.add ?? []);
    refuseBoth(written, withheld, declared.get(role)?.permissions ?? []);
    if (role === administratorRole) refuseLockout(at, withheld, faults);
    return withheld;
  });
  amend('exclude', (written) => {
    const { role, items } = written;
    const excluded = findRoles(items, visible, faults).map(({ key }) => key);
    refuseBoth(written, excluded, amendments.get(role)?.include ?? []);
    refuseBoth(written, excluded, declared.get(role)?.includes ?? []);
    return excluded.sort();
  });
  return [...amendments.values()].sort((a, b) => (a.role < b.role ? -1 : 1));
}

function readRoleLists(
  section: Entry,
  name: string,
  visible: ReadonlySet<RoleKey>,
  faults: FaultList,
): Written[] {
  return (readEntries(section, `"${name}"`, faults) ?? []).flatMap((entry) => {
    const { key, at } = entry;
    const [role] = findRoles([{ text: key, at }], visible, faults);
    const items = readList(entry, `"${name}" of role ${quoted(key)}`, faults);
    return role ? [{ role: role.key, at, items }] : [];
  });
}

/** Without a permission of the service the administrator could not repair what a file did. */
function refuseLockout(at: number, withheld: readonly PermissionSlug[], faults: FaultList): void {
  for (const { slug } of builtinLayer.permissions)
    if (withheld.includes(slug))
      faults.add(at, 'reserved_resource', `the role "${administratorRole}" keeps the built-in "${slug}"`);
}
