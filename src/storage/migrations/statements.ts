/** One statement of a file, and where it stands. */
export interface Statement {
  /** From 1, in the order of the file. */
  readonly number: number;
  /** The line of its first word, from 1. */
  readonly line: number;
  /** As written, without its semicolon. */
  readonly text: string;
  /** For reading: lower case, one blank between words, no comments, no quotes round names, and `''` for every text. */
  readonly words: string;
}

/** What a file must say on a line of its own to run outside a transaction, as concurrent index builds need to. */
const outsideTransaction = /^-- rolecall: no transaction$/m;

export function runsOutsideTransaction(text: string): boolean {
  return outsideTransaction.test(text);
}

/** Comments, names, texts of three kinds, the end of a statement, and whatever else there is, in this order. */
const token =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|(?<name>"(?:[^"]|"")*")|(?<text>\b[eE]'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|(?<tag>\$(?:[A-Za-z_]\w*)?\$)[\s\S]*?\k<tag>)|(?<end>;)|[A-Za-z_][\w$]*|[\s\S]/g;

/** Takes a file apart into its statements. Function bodies are texts (`$$…$$`): `BEGIN ATOMIC` is not understood. */
export function splitStatements(file: string): readonly Statement[] {
  const statements: Statement[] = [];
  let start: number | undefined;
  let words = '';
  const finish = (end: number) => {
    if (start === undefined) return;
    const line = file.slice(0, start).split('\n').length;
    const text = file.slice(start, end).trimEnd();
    statements.push({ number: statements.length + 1, line, text, words: words.trim().replace(/\s+/g, ' ') });
    start = undefined;
    words = '';
  };
  for (const { 0: found, index, groups } of file.matchAll(token)) {
    if (groups?.['end']) finish(index);
    else if (groups?.['comment']) words += ' ';
    else {
      if (/\S/.test(found)) start ??= index;
      words += groups?.['text'] ? "''" : (groups?.['name']?.slice(1, -1) ?? found).toLowerCase();
    }
  }
  finish(file.length);
  return statements;
}

/** The word with which a statement would end or begin a transaction of its own, if it is such a one. */
export function transactionControl({ words }: Statement): string | undefined {
  return /^(?:commit|end|rollback|abort|savepoint|release|start transaction|begin|prepare transaction)\b/.exec(
    words,
  )?.[0];
}

/** Whether a statement only changes what there is room for, and no row that stays. */
export function isStructural({ words }: Statement): boolean {
  return /^(?:create (?!table .* as (?:select|table|values)\b)|alter|drop|comment|grant|revoke|set)\b/.test(
    words,
  );
}
