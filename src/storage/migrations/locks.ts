import type { Statement } from './statements.ts';

/** The table lock that a statement takes, from the weakest on; `none` where nobody else can see the table yet. */
export const lockLevels = [
  'none',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const;

export type LockLevel = (typeof lockLevels)[number];

/** What a statement does to a table that others use. */
export interface TableEffect {
  readonly table: string | null;
  readonly lock: LockLevel;
  /** Whether every row is written anew, or read, while the lock is held. */
  readonly pass: 'rewrite' | 'read' | null;
}

type Rule = readonly [pattern: RegExp, lock: LockLevel, pass: TableEffect['pass']];

/** Values that PostgreSQL keeps beside the table instead of writing them into every row. */
const constantDefault = `(?:''|[-\\d.]+|true|false|null|now\\(\\)|current_\\w+)`;

/** For each action of ALTER TABLE, the first that fits; for any other, an exclusive lock and no pass. */
const alterRules: readonly Rule[] = [
  [/^alter (?:column )?\w+ (?:set data )?type /, 'ACCESS EXCLUSIVE', 'rewrite'],
  [
    /^add (?:column )?(?:if not exists )?(?!constraint |primary |unique |foreign |check )\w+ .*\bgenerated\b/,
    'ACCESS EXCLUSIVE',
    'rewrite',
  ],
  [
    new RegExp(`^add (?:column )?(?!constraint )\\w+ .*\\bdefault (?!${constantDefault})`),
    'ACCESS EXCLUSIVE',
    'rewrite',
  ],
  [/^set (?:unlogged|logged|tablespace|access method)/, 'ACCESS EXCLUSIVE', 'rewrite'],
  [/^alter (?:column )?\w+ set not null/, 'ACCESS EXCLUSIVE', 'read'],
  [/^add .*\bforeign key .* not valid$/, 'SHARE ROW EXCLUSIVE', null],
  [/^add .*\bforeign key /, 'SHARE ROW EXCLUSIVE', 'read'],
  [/^add .*\bcheck .* not valid$/, 'ACCESS EXCLUSIVE', null],
  [/^add (?:constraint \w+ )?(?:unique|primary key) using index /, 'ACCESS EXCLUSIVE', null],
  [/^add (?:constraint \w+ )?(?:check|unique|primary key|exclude)\b/, 'ACCESS EXCLUSIVE', 'read'],
  [/^validate constraint /, 'SHARE UPDATE EXCLUSIVE', 'read'],
  [/^(?:enable|disable) trigger /, 'SHARE ROW EXCLUSIVE', null],
  [/^alter (?:column )?\w+ set statistics /, 'SHARE UPDATE EXCLUSIVE', null],
];

const rules: readonly Rule[] = [
  [/^create (?:unique )?index concurrently /, 'SHARE UPDATE EXCLUSIVE', 'read'],
  [/^drop index concurrently /, 'SHARE UPDATE EXCLUSIVE', null],
  [/^create (?:unique )?index /, 'SHARE', 'read'],
  [
    /^(?:drop (?:table|index|view|trigger|policy|rule)|truncate|lock|cluster|vacuum full|(?:create|alter) policy|create (?:or replace )?rule) /,
    'ACCESS EXCLUSIVE',
    null,
  ],
  [/^create (?:or replace )?(?:constraint )?trigger /, 'SHARE ROW EXCLUSIVE', null],
  [/^create table .*\breferences /, 'SHARE ROW EXCLUSIVE', null],
  [/^comment on (?:table|column|constraint) /, 'SHARE UPDATE EXCLUSIVE', null],
  [/^(?:insert|update|delete|merge|with .*\b(?:insert into|update|delete from)) /, 'ROW EXCLUSIVE', null],
];

const partOfTable = /^(?:create|alter|drop) (?:or replace )?(?:constraint )?(?:policy|trigger|rule) /;

/** `created` are the tables that earlier statements of the same plan made: nobody uses them yet. */
export function effectOf(statement: Statement, created: ReadonlySet<string>): TableEffect {
  const { words } = statement;
  const named = [...words.matchAll(/\brolecall\.(\w+)/g)].map(([, name]) => name as string);
  // After the table of a policy or trigger come only functions and what they are asked.
  const names = partOfTable.test(words) ? named.slice(0, 1) : named;
  // What a CREATE TABLE names first is its own; the lock is on what it refers to.
  const table =
    names
      .filter((_, at) => !(at === 0 && words.startsWith('create table')))
      .find((name) => !created.has(name)) ?? null;
  if (table === null) return { table: names[0] ?? null, lock: 'none', pass: null };
  const alter = /^alter table (?:if exists )?(?:only )?[\w.]+ (.*)$/.exec(words)?.[1];
  if (alter === undefined) {
    const [, lock, pass] = rules.find(([pattern]) => pattern.test(words)) ?? [null, 'none' as const, null];
    return { table, lock, pass };
  }
  const actions = splitActions(alter).map(
    (action): Rule => alterRules.find(([pattern]) => pattern.test(action)) ?? [/^/, 'ACCESS EXCLUSIVE', null],
  );
  const locks = actions.map(([, lock]) => lockLevels.indexOf(lock));
  const passes = actions.map(([, , pass]) => pass);
  const pass = passes.includes('rewrite') ? 'rewrite' : passes.includes('read') ? 'read' : null;
  return { table, lock: lockLevels[Math.max(...locks)] ?? 'ACCESS EXCLUSIVE', pass };
}

/** The table that a statement makes, if it makes one. */
export function tableMadeBy({ words }: Statement): string | undefined {
  return /^create (?:unlogged )?table (?:if not exists )?rolecall\.(\w+)/.exec(words)?.[1];
}

/** What people should know before they run it, in a few words; null for nothing. */
export function warningFor({ lock, pass, table }: TableEffect): string | null {
  const during = { rewrite: `writes every row of ${table} anew`, read: `reads every row of ${table}` };
  const stops =
    lock === 'ACCESS EXCLUSIVE' ? 'nobody reads or writes it meanwhile' : 'nobody writes it meanwhile';
  if (lockLevels.indexOf(lock) < lockLevels.indexOf('SHARE')) return pass ? during[pass] : null;
  return pass ? `${during[pass]}; ${stops}` : `${stops}, for a moment`;
}

/** Actions of one ALTER TABLE, which commas outside of parentheses divide. */
function splitActions(text: string): readonly string[] {
  let depth = 0;
  let actions = '';
  for (const character of text) {
    if (character === '(') depth += 1;
    if (character === ')') depth -= 1;
    actions += character === ',' && depth === 0 ? '\n' : character;
  }
  return actions.split('\n').map((action) => action.trim());
}
