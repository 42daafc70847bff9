import { isAlias, isMap, isScalar, isSeq, type ParsedNode } from 'yaml';
import { didYouMean, nearestNames } from '../suggestions.ts';
import { type FaultList, quoted } from './faults.ts';

/** A key with its value; `at` is where the key stands. */
export interface Entry {
  readonly key: string;
  readonly at: number;
  readonly node: ParsedNode | null;
}

/** One text of a list and where it stands. */
export interface Item {
  readonly text: string;
  readonly at: number;
}

/** How messages name an entry, and what must and may stand in it. */
export interface Shape {
  readonly label: string;
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

/** The entries of a mapping in the order of the text, or undefined, with a fault noted, if it is none. */
export function readEntries(entry: Entry, label: string, faults: FaultList): Entry[] | undefined {
  if (!isMap<ParsedNode, ParsedNode | null>(entry.node)) return mismatch(entry, label, 'a mapping', faults);
  const entries = new Map<string, Entry>();
  for (const { key: keyNode, value: node } of entry.node.items) {
    const at = keyNode.range[0];
    const key = readKey(keyNode, faults);
    if (key === undefined) continue;
    const first = entries.get(key);
    if (first === undefined) entries.set(key, { key, at, node });
    else faults.add(at, 'duplicate', `duplicate ${quoted(key)}, first at ${faults.place(first.at)}`);
  }
  return [...entries.values()];
}

function readKey(node: ParsedNode, faults: FaultList): string | undefined {
  if (isScalar(node) && node.source === '<<') {
    faults.add(node.range[0], 'yaml_feature', 'merge keys are not accepted, write the entries out');
    return undefined;
  }
  if (isScalar(node) && typeof node.value === 'string') return node.value;
  if (!isAlias(node)) faults.add(node.range[0], 'wrong_type', `a key must be text, not ${kindOf(node)}`);
  return undefined;
}

/** The members of a mapping with a fixed shape; what is unknown or missing is noted. */
export function readMembers(entry: Entry, shape: Shape, faults: FaultList): Map<string, Entry> {
  const entries = readEntries(entry, shape.label, faults);
  if (entries === undefined) return new Map();
  const known = [...shape.required, ...shape.optional];
  const members = new Map(entries.map((member) => [member.key, member]));
  for (const { key, at } of entries)
    if (!known.includes(key)) {
      const near = didYouMean(nearestNames(key, known));
      faults.add(at, 'unknown_member', `unknown member ${quoted(key)}${near}`);
    }
  for (const name of shape.required)
    if (!members.has(name)) faults.add(entry.at, 'missing_member', `${shape.label} lacks "${name}"`);
  return members;
}

/** A text that says something: not blank, without control characters but line ends, trimmed. */
export function readText(entry: Entry, label: string, faults: FaultList): string | undefined {
  const text = readString(entry.node);
  if (text === undefined) return mismatch(entry, label, 'text', faults);
  const trimmed = text.trim();
  if (trimmed === '') faults.add(placeOf(entry), 'empty_text', `${label} is empty`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused
  if (/[\u0000-\u0009\u000b-\u001f\u007f]/.test(trimmed) || !trimmed.isWellFormed())
    faults.add(placeOf(entry), 'wrong_type', `${label} has characters that are not text`);
  return trimmed;
}

export function readBoolean(entry: Entry, label: string, faults: FaultList): boolean | undefined {
  if (isScalar(entry.node) && typeof entry.node.value === 'boolean') return entry.node.value;
  return mismatch(entry, label, 'true or false', faults);
}

/** The texts of a list; an entry that is not a text is noted and left out. */
export function readList(entry: Entry, label: string, faults: FaultList): Item[] {
  if (!isSeq<ParsedNode>(entry.node)) return mismatch(entry, label, 'a list', faults) ?? [];
  return entry.node.items.flatMap((node) => {
    const at = node.range[0];
    const text = readString(node);
    if (text !== undefined) return [{ text, at }];
    mismatch({ key: '', at, node }, `an entry of ${label}`, 'text', faults);
    return [];
  });
}

/** The entries of a list, whatever each of them is. */
export function readItems(entry: Entry, label: string, faults: FaultList): Entry[] {
  if (!isSeq<ParsedNode>(entry.node)) return mismatch(entry, label, 'a list', faults) ?? [];
  return entry.node.items.map((node) => ({ key: '', at: node.range[0], node }));
}

function readString(node: ParsedNode | null): string | undefined {
  return isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
}

function mismatch(entry: Entry, label: string, expected: string, faults: FaultList): undefined {
  // An alias has already been refused as one.
  if (!isAlias(entry.node))
    faults.add(placeOf(entry), 'wrong_type', `${label} must be ${expected}, not ${kindOf(entry.node)}`);
}

/** Where the value stands, or the key if there is no value to point at. */
export function placeOf({ at, node }: Entry): number {
  return node && node.range[0] < node.range[1] ? node.range[0] : at;
}

function kindOf(node: ParsedNode | null): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  const value: unknown = isScalar(node) ? node.value : null;
  if (value === null) return 'nothing';
  if (typeof value === 'boolean') return 'true or false';
  return typeof value === 'string' ? 'text' : 'a number';
}
