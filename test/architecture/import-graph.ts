/**
 * Reads who imports whom in `src` and says what breaks the house rules. It works on texts, so a broken house can be
 * tried in memory. Paths are relative to `src`; a room is a top folder of `src` or a file that lies beside them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Sources = ReadonlyMap<string, string>;

interface Room {
  /** Rooms it may import from, besides itself. */
  readonly inside: readonly string[];
  /** Rooms from which it may import types only. */
  readonly types?: readonly string[];
  /** The only packages and Node modules it may import; any when left out. */
  readonly outside?: readonly string[];
}

const allButClientAndConsole = [
  ...['domain', 'importers', 'observability', 'config', 'storage', 'services', 'http'],
  ...['runtime.ts', 'cli', 'main.ts'],
];

/** The table of design: who may import whom. */
export const rooms: Readonly<Record<string, Room>> = {
  domain: { inside: [], outside: ['yaml', 'node:crypto', 'node:zlib'] },
  importers: { inside: ['domain'] },
  observability: { inside: [], types: ['domain'] },
  config: { inside: [], outside: ['zod'] },
  storage: { inside: ['domain', 'observability'] },
  services: { inside: ['domain', 'storage', 'observability'] },
  http: { inside: ['domain', 'importers', 'services', 'observability'] },
  'runtime.ts': { inside: ['config', 'storage', 'services', 'observability'], types: ['domain'] },
  cli: { inside: allButClientAndConsole },
  'main.ts': { inside: allButClientAndConsole },
  client: { inside: [], outside: [] },
  console: { inside: ['client'] },
};

const barrels = ['storage/schema/index.ts', 'client/index.ts', 'cli/index.ts'];
const shapeless = ['utils', 'helpers', 'common', 'shared', 'lib'];

interface TextRule {
  readonly what: string;
  readonly pattern: RegExp;
  readonly appliesTo: (file: string) => boolean;
}

const textRules: readonly TextRule[] = [
  {
    what: 'reads the environment; only config/env.ts does',
    pattern:
      /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*(?:\?\.\s*)?\[|\{[^{}]*\benv\b[^{}]*\}\s*=\s*process\b/g,
    appliesTo: (file) => file !== 'config/env.ts',
  },
  {
    what: 'asks a clock, chance or the process; domain is told what it must know',
    pattern:
      /\bDate\s*\.\s*now\b|\bnew\s+Date\b(?!\s*\(\s*[^\s)])|\bperformance\s*\.|\bMath\s*\.\s*random\b|\bprocess\s*(?:\?\.|[.[])|\brandom(?:UUID|Bytes|Int)\b|\bgetRandomValues\b/g,
    appliesTo: (file) => roomOf(file) === 'domain',
  },
  { what: 'writes raw SQL with sql.raw', pattern: /\bsql\s*\.\s*raw\b/g, appliesTo: () => true },
  { what: 'writes to the console', pattern: /\bconsole\s*(?:\?\.|[.[])/g, appliesTo: () => true },
];

/** Everything wrong with these sources, one sentence each; empty when the house stands. */
export function violations(sources: Sources): string[] {
  const imports = [...sources].flatMap(([file, source]) => importsOf(file, source));
  return [
    ...forbiddenNames([...sources.keys()]),
    ...forbiddenEdges(imports),
    ...cycles(imports),
    ...mutualRooms(imports),
    ...forbiddenTexts(sources),
  ];
}

/** The TypeScript files of `src` with their texts. */
export function readSources(): Sources {
  const root = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /\.[cm]?tsx?$/.test(file))
    .sort();
  return new Map(files.map((file) => [file, readFileSync(`${root}${file}`, 'utf8')]));
}

function roomOf(file: string): string {
  return file.split('/')[0] ?? file;
}

// ---------------------------------------------------------------------------------------------------------- imports

export interface Import {
  readonly from: string;
  readonly specifier: string;
  /** The imported file of `src`; null for a package, a Node module or a computed path. */
  readonly to: string | null;
  readonly typeOnly: boolean;
}

const computed = '(computed)';
const statement = /(?<![.\w$])(?:import|export)\b((?:(?!\b(?:import|export)\b)[\w\s{},*$])*?)\bfrom\s*"/g;
const sideEffect = /(?<![.\w$])import\s*"/g;
const required = /(?<![.\w$])require\s*\(\s*"/g;
const dynamic = /(?<![.\w$])import\s*\(\s*/g;

/** Every import, re-export, `import()` and `require()` of a file. */
export function importsOf(from: string, source: string): Import[] {
  const code = readCode(source);
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean): void => {
    const relative = specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : null;
    const to = /^[/#]/.test(specifier) ? specifier : relative;
    found.push({ from, specifier, to, typeOnly });
  };
  const specifierEnding = (match: RegExpMatchArray): string =>
    code.strings.get((match.index ?? 0) + match[0].length - 1) ?? computed;

  for (const match of code.text.matchAll(statement))
    add(specifierEnding(match), /^\s+type\b(?!\s*(?:,|$))/.test(match[1] ?? ''));
  for (const match of code.text.matchAll(sideEffect)) add(specifierEnding(match), false);
  for (const match of code.text.matchAll(required)) add(specifierEnding(match), false);
  for (const match of code.text.matchAll(dynamic)) {
    const argument = match.index + match[0].length;
    const isLiteral = /^" *"\s*[,)]/.test(code.text.slice(argument));
    add(isLiteral ? (code.strings.get(argument) ?? computed) : computed, false);
  }
  return found;
}

interface Code {
  /** The source at the same length with comments, regular expressions and the insides of strings blanked out. */
  readonly text: string;
  /** What the strings say, by the offset of their opening quote. */
  readonly strings: ReadonlyMap<number, string>;
}

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const string = /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y;
const templatePart = /[`}](?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;
const regularExpression = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const word = /[\w$]+/y;

// A slash after one of these begins a regular expression, after any other word it divides.
const beforeExpression =
  /^(?:return|typeof|case|in|of|delete|void|throw|new|else|do|instanceof|yield|await)$/;

/** Tells code from comments, strings, templates and regular expressions, well enough for code a formatter has seen. */
export function readCode(source: string): Code {
  const strings = new Map<number, string>();
  const open: string[] = [];
  let text = '';
  let before = '';
  while (text.length < source.length) {
    const { kind, said } = pieceAt(source, text.length, before, open.at(-1) === '`');
    if (kind === 'string') strings.set(text.length, said.slice(1, -1));
    if (kind !== 'string' && said.startsWith('}')) open.pop();
    if (kind === 'template' && said.endsWith('${')) open.push('`');
    if (kind === 'code' && said === '{') open.push('{');
    if (kind === 'string') text += `"${blank(said.slice(1, -1))}"`;
    else text += kind === 'code' ? said : blank(said);
    if (kind === 'code' && /\S/.test(said)) before = said;
    else if (kind !== 'code' && kind !== 'comment') before = said.endsWith('${') ? '(' : '"';
  }
  return { text, strings };
}

interface Piece {
  /** A template without substitutions is a string; one with them is several pieces with code between. */
  readonly kind: 'comment' | 'string' | 'template' | 'expression' | 'code';
  readonly said: string;
}

function pieceAt(source: string, at: number, before: string, inTemplate: boolean): Piece {
  const taken = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const character = source.charAt(at);
  let said = taken(comment);
  if (said !== undefined) return { kind: 'comment', said };
  said = taken(string);
  if (said !== undefined) return { kind: 'string', said };
  said = character === '`' || (character === '}' && inTemplate) ? taken(templatePart) : undefined;
  if (said !== undefined) return { kind: /^`[\s\S]*`$/.test(said) ? 'string' : 'template', said };
  const expressionMayBegin = beforeExpression.test(before) || !/[\w$)\]"]$/.test(before);
  said = expressionMayBegin ? taken(regularExpression) : undefined;
  if (said !== undefined) return { kind: 'expression', said };
  return { kind: 'code', said: taken(word) ?? character };
}

function blank(part: string): string {
  return part.replace(/[^\n]/g, ' ');
}

// ------------------------------------------------------------------------------------------------------------ rules

function forbiddenEdges(imports: readonly Import[]): string[] {
  return imports.flatMap((edge) => {
    const why = whyForbidden(edge);
    return why === null ? [] : [`${edge.from} -> ${edge.to ?? edge.specifier}: ${why}`];
  });
}

function whyForbidden({ from, to, specifier, typeOnly }: Import): string | null {
  const here = roomOf(from);
  const room = rooms[here];
  if (room === undefined) return null;
  if (/^(?:node:)?process$/.test(specifier))
    return 'the process is used as a global, so that its uses can be found';
  if (to === null) {
    const allows = (name: string): boolean => specifier === name || specifier.startsWith(`${name}/`);
    if (room.outside === undefined || room.outside.some(allows)) return null;
    return `${here} may import from outside src only ${room.outside.join(' and ') || 'nothing'}`;
  }
  const there = roomOf(to);
  if (rooms[there] === undefined) return 'it leaves the rooms of src';
  if (there === here || room.inside.includes(there)) return null;
  if (room.types?.includes(there)) return typeOnly ? null : `${here} may import only types from ${there}`;
  return `${here} may import from ${room.inside.join(', ') || 'nothing in src but itself'}, not from ${there}`;
}

function forbiddenNames(files: readonly string[]): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    const names = file.split('/').map((name) => name.replace(/\..*$/, ''));
    const nameless = names.find((name) => shapeless.includes(name));
    if (rooms[roomOf(file)] === undefined) found.push(`${file}: ${roomOf(file)} is no room of the house`);
    if (nameless !== undefined) found.push(`${file}: "${nameless}" does not say what is inside`);
    if (names.at(-1) === 'index' && !barrels.includes(file)) found.push(`${file}: is a barrel`);
    return found;
  });
}

/** Imports that come back to where they began, type imports too; one path for each edge that closes a circle. */
function cycles(imports: readonly Import[]): string[] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) if (to !== null) next.set(from, (next.get(from) ?? new Set()).add(to));
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) found.push(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    if (path.includes(file) || done.has(file)) return;
    path.push(file);
    for (const imported of next.get(file) ?? []) visit(imported);
    path.pop();
    done.add(file);
  };
  for (const file of next.keys()) visit(file);
  return found;
}

function mutualRooms(imports: readonly Import[]): string[] {
  const firstEdge = new Map<string, string>();
  for (const { from, to } of imports) {
    if (to === null || roomOf(from) === roomOf(to)) continue;
    const between = `${roomOf(from)} -> ${roomOf(to)}`;
    if (!firstEdge.has(between)) firstEdge.set(between, `${from} -> ${to}`);
  }
  return [...firstEdge].flatMap(([between, there]) => {
    const [one = '', other = ''] = between.split(' -> ');
    const back = one < other ? firstEdge.get(`${other} -> ${one}`) : undefined;
    return back === undefined ? [] : [`${one} -> ${other} -> ${one}: ${there}, ${back}`];
  });
}

function forbiddenTexts(sources: Sources): string[] {
  return [...sources].flatMap(([file, source]) => {
    const { text } = readCode(source);
    const lineAt = (offset: number): number => text.slice(0, offset).split('\n').length;
    return textRules
      .filter(({ appliesTo }) => appliesTo(file))
      .flatMap(({ what, pattern }) =>
        [...text.matchAll(pattern)].map(({ index }) => `${file}:${lineAt(index)}: ${what}`),
      );
  });
}
