import { readdir, readFile } from 'node:fs/promises';
import { effectOf, tableMadeBy } from './locks.ts';
import { runsOutsideTransaction, type Statement, splitStatements, transactionControl } from './statements.ts';

/** A rule that a file breaks, and where. */
export interface LintFault {
  readonly file: string;
  /** Null for the file as a whole. */
  readonly line: number | null;
  readonly rule: LintRule;
  readonly message: string;
}

/** What a file as a whole can break. */
type FileRule = 'name' | 'number' | 'both-ways' | 'described';

export type LintRule =
  | FileRule
  | 'no-cascade'
  | 'no-maybe'
  | 'no-transaction-control'
  | 'own-schema'
  | 'outside-transaction'
  | 'index-concurrently'
  | 'constraint-not-valid'
  | 'no-pass-under-lock'
  | 'no-rename';

type StatementRule = (statement: Statement, file: LintedFile) => string | undefined;

interface LintedFile {
  readonly outside: boolean;
  readonly isDown: boolean;
  /** The tables that the file made before this statement. */
  readonly created: ReadonlySet<string>;
}

const goodName =
  /^\d{4}_(?:add|allow|backfill|change|create|drop|extend|fill|grant|index|limit|make|merge|move|protect|record|remove|replace|require|restrict|revoke|seal|split|store|tighten|validate|widen)(?:_[a-z0-9]+)+$/;

export const goodNameMeans = 'NNNN_verb_what, such as 0007_add_nickname_to_users';

/** Whether a step's name says what it does: a verb, and what it is about. */
export function isGoodName(name: string): boolean {
  return goodName.test(name);
}

const statementRules: Readonly<Record<Exclude<LintRule, FileRule>, StatementRule>> = {
  'no-cascade': ({ words }) =>
    /^(?:drop|truncate|alter table .*\bdrop)\b.* cascade$/.test(words) || / on delete cascade\b/.test(words)
      ? 'CASCADE takes along what nobody named: drop each thing by its name'
      : undefined,
  'no-maybe': ({ words }) =>
    /\bif (?:not )?exists\b/.test(words.replace(/''/g, ''))
      ? 'IF [NOT] EXISTS passes over what is not as it should be: say what is there'
      : undefined,
  'no-transaction-control': (statement) =>
    transactionControl(statement) ? 'a step and its ledger row are one transaction already' : undefined,
  'own-schema': ({ words }) => {
    const named =
      /^(?:create (?:unlogged )?table|alter table(?: only)?|drop (?:table|index)(?: concurrently)?|truncate(?: table)?|insert into|update|delete from|create (?:unique )?index (?:concurrently )?\w+ on|create (?:or replace )?function|create (?:or replace )?view|create policy \w+ on|create type)(?: if (?:not )?exists)? ([\w.]+)/.exec(
        words,
      )?.[1];
    return named === undefined || named.startsWith('rolecall.')
      ? undefined
      : `${named} is not named with the schema rolecall`;
  },
  'outside-transaction': ({ words, number }, { outside }) => {
    const isConcurrent =
      /^(?:create (?:unique )?index concurrently \w+ on rolecall\.|drop index concurrently rolecall\.)/.test(
        words,
      );
    if (/ concurrently\b/.test(words) && !outside)
      return 'needs the line "-- rolecall: no transaction" in a file of its own';
    if (outside && !isConcurrent)
      return 'outside a transaction only one named index is built or dropped concurrently';
    return outside && number > 1
      ? 'outside a transaction a file has exactly one statement, so that it can be resumed'
      : undefined;
  },
  'index-concurrently': (statement, { created, isDown }) =>
    !isDown &&
    /^create (?:unique )?index (?!concurrently)/.test(statement.words) &&
    effectOf(statement, created).lock !== 'none'
      ? 'would stop all writes to a table in use: build it CONCURRENTLY, in a step of its own'
      : undefined,
  'constraint-not-valid': (statement, { created, isDown }) =>
    !isDown &&
    / add (?:constraint \w+ )?(?:foreign key|check)\b/.test(statement.words) &&
    effectOf(statement, created).pass !== null
      ? 'reads the whole table under a lock: add it NOT VALID, and VALIDATE CONSTRAINT in a step of its own'
      : undefined,
  'no-pass-under-lock': (statement, { created, isDown }) => {
    const { lock, pass, table } = effectOf(statement, created);
    const isOther = !/^create |.* add (?:constraint \w+ )?(?:foreign key|check)\b/.test(statement.words);
    return !isDown && isOther && lock === 'ACCESS EXCLUSIVE' && pass !== null
      ? `would ${pass === 'rewrite' ? 'write every row of' : 'read every row of'} ${table} while nobody else can use it`
      : undefined;
  },
  'no-rename': ({ words }, { isDown }) =>
    !isDown && /^alter table .* rename\b/.test(words)
      ? 'the release that still runs knows the old name: add the new one, and drop the old one a release later'
      : undefined,
};

/** Holds every step of a folder to the rules; in order of files and lines. */
export async function lintSteps(folder: string): Promise<readonly LintFault[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  const described = await readdir(`${folder}/catalog`).catch((): string[] => []);
  const texts = new Map(
    await Promise.all(
      files.map(async (file) => [file, await readFile(`${folder}/${file}`, 'utf8')] as const),
    ),
  );
  const ups = files.filter((file) => !file.endsWith('.down.sql'));
  const faults: LintFault[] = [];
  const blame = (file: string, rule: LintRule, message: string) =>
    faults.push({ file, line: null, rule, message });
  for (const [index, file] of ups.entries()) {
    const name = file.slice(0, -'.sql'.length);
    if (!isGoodName(name)) blame(file, 'name', `says not what it does: ${goodNameMeans}`);
    if (Number(name.slice(0, 4)) !== index)
      blame(file, 'number', `should be number ${String(index).padStart(4, '0')}: without gaps, each once`);
    const down = texts.get(`${name}.down.sql`);
    for (const [direction, text] of [
      [`${name}.sql`, texts.get(file)],
      [`${name}.down.sql`, down],
    ] as const)
      if (splitStatements(text ?? '').length === 0)
        blame(direction, 'both-ways', 'a step goes up and down: this way is missing or empty');
    if (!described.includes(`${name}.txt`))
      blame(file, 'described', 'nobody said what is there after it: npm run db:describe');
  }
  for (const down of files.filter(
    (file) => file.endsWith('.down.sql') && !texts.has(file.replace('.down.sql', '.sql')),
  ))
    blame(down, 'both-ways', 'a way down without a way up');
  return [...faults, ...[...texts].flatMap(([file, text]) => lintStatements(file, text))].sort((a, b) =>
    a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1,
  );
}

function lintStatements(file: string, text: string): readonly LintFault[] {
  const created = new Set<string>();
  const linted = { outside: runsOutsideTransaction(text), isDown: file.endsWith('.down.sql'), created };
  return splitStatements(text).flatMap((statement) => {
    const faults = Object.entries(statementRules).flatMap(([rule, broken]) => {
      const message = broken(statement, linted);
      return message === undefined ? [] : [{ file, line: statement.line, rule: rule as LintRule, message }];
    });
    const made = tableMadeBy(statement);
    if (made) created.add(made);
    return faults;
  });
}
