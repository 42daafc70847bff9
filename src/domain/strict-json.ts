import { type InputFault, RolecallError } from './errors.ts';

const deepestLevel = 32;
const longestPointer = 1024;
/** No text of ours has a hundred; tens of thousands can be chosen so that every table they are put into becomes a list. */
const mostNames = 1_000;

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const firstPrintable = 0x20;

const escapeSequence = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const numberLiteral = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * Reads a text as JSON and refuses whatever two readers could understand differently: a byte order mark, a member named
 * twice, lone surrogates, NUL, the member `__proto__`, more than 32 levels and more than 1,000 different member names. The
 * result is what `JSON.parse` makes of the same text.
 *
 * Throws `malformed_json` with the first fault. Its pointer names the place (empty for faults of the text as a whole),
 * offsets count UTF-16 code units, and nothing of the text is repeated but the member names in the pointer.
 */
export function parseStrictText(text: string): unknown {
  if (text.startsWith('\ufeff'))
    refuse({ pointer: '', code: 'byte_order_mark', detail: 'the body begins with a byte order mark' });
  const members = membersOfPlain(text);
  if (members !== undefined) {
    const value = parsed(text);
    // Of members of one name only the last is kept: where none is missing, no two had the same.
    if (value !== undefined && membersIn(value) === members) return value;
  }
  new Scan(text).passDocument();
  return JSON.parse(text);
}

/**
 * How many members there are in a text, if it is JSON at all; undefined of a text with escapes, or with more members or
 * more levels than there may be.
 */
function membersOfPlain(text: string): number | undefined {
  let members = 0;
  let level = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === backslash) return undefined;
    if (unit === quote) isInString = !isInString;
    else if (isInString) continue;
    else if (unit === colon) members += 1;
    else if (unit === openBrace || unit === openBracket) level += 1;
    else if (unit === closeBrace || unit === closeBracket) level -= 1;
    if (level > deepestLevel || members > mostNames) return undefined;
  }
  return members;
}

/** How many members the objects in a value have, or not a number if one has a name that it cannot have. */
function membersIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const one of value) members += membersIn(one);
    return members;
  }
  for (const name of Object.keys(value)) {
    if (name === '__proto__') return Number.NaN;
    members += 1 + membersIn((value as Record<string, unknown>)[name]);
  }
  return members;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Throws `malformed_json` for one fault. */
export function refuse(fault: InputFault): never {
  throw new RolecallError('malformed_json', `The body is not acceptable JSON: ${fault.detail}.`, {
    errors: [fault],
  });
}

type Path = readonly (string | number)[];

/** RFC 6901. A pointer that would be too long to log stops at the innermost place that still fits. */
function pointerTo(path: Path): string {
  let pointer = '';
  for (const segment of path) {
    const longer = `${pointer}/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (longer.length > longestPointer) break;
    pointer = longer;
  }
  return pointer;
}

/**
 * One pass over the text that knows the whole grammar, because the messages of `JSON.parse` quote the body and differ
 * between versions of Node. It recurses, but never beyond the deepest level.
 */
class Scan {
  readonly #text: string;
  readonly #path: (string | number)[] = [];
  readonly #names = new Set<string>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  passDocument(): void {
    this.#passValue(0);
    if (this.#next() !== '') this.#syntaxFault();
  }

  #passValue(level: number): void {
    const first = this.#next();
    if (first === '"') this.#passString();
    else if (first === '{') this.#passObject(level + 1);
    else if (first === '[') this.#passArray(level + 1);
    else if (first === 't') this.#passWord('true');
    else if (first === 'f') this.#passWord('false');
    else if (first === 'n') this.#passWord('null');
    else this.#passPattern(numberLiteral);
  }

  #passObject(level: number): void {
    this.#checkLevel(level);
    const names = new Set<string>();
    this.#at += 1;
    if (this.#next() === '}') {
      this.#at += 1;
      return;
    }
    do {
      if (this.#next() !== '"') this.#syntaxFault();
      const name = this.#passString();
      this.#path.push(name);
      if (names.has(name)) this.#fault('duplicate_member', 'the object has two members of this name');
      if (name === '__proto__') this.#fault('reserved_member', 'a member cannot have this name');
      names.add(name);
      if (this.#names.add(name).size > mostNames)
        this.#fault('too_many_names', `the body has more than ${mostNames} different member names`);
      if (this.#next() !== ':') this.#syntaxFault();
      this.#at += 1;
      this.#passValue(level);
      this.#path.pop();
    } while (this.#goesOn('}'));
  }

  #passArray(level: number): void {
    this.#checkLevel(level);
    this.#at += 1;
    if (this.#next() === ']') {
      this.#at += 1;
      return;
    }
    let index = 0;
    do {
      this.#path.push(index);
      this.#passValue(level);
      this.#path.pop();
      index += 1;
    } while (this.#goesOn(']'));
  }

  /** Passes the comma after which another entry must come, or the bracket that closes. */
  #goesOn(closing: '}' | ']'): boolean {
    const next = this.#next();
    if (next !== ',' && next !== closing) this.#syntaxFault();
    this.#at += 1;
    return next === ',';
  }

  /** Passes a string and returns what it says. The path still names the place around it when a member name is read. */
  #passString(): string {
    const start = this.#at;
    let escaped = false;
    this.#at += 1;
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit === quote) break;
      if (unit === backslash) {
        this.#passPattern(escapeSequence);
        escaped = true;
      } else if (unit >= firstPrintable) {
        this.#at += 1;
      } else {
        this.#syntaxFault();
      }
    }
    this.#at += 1;
    return escaped ? this.#unescaped(start) : this.#text.slice(start + 1, this.#at - 1);
  }

  // Valid UTF-8 has no surrogates and the grammar no raw NUL, so only an escape can bring either.
  #unescaped(start: number): string {
    const said: string = JSON.parse(this.#text.slice(start, this.#at));
    if (!said.isWellFormed())
      this.#fault('lone_surrogate', 'a string or member name has half a surrogate pair');
    if (said.includes('\0')) this.#fault('nul', 'a string or member name has a NUL character');
    return said;
  }

  #passWord(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) this.#syntaxFault();
    this.#at += word.length;
  }

  #passPattern(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) this.#syntaxFault();
    this.#at = pattern.lastIndex;
  }

  /** Skips white space; the character that comes then, or nothing at the end of the text. */
  #next(): string {
    for (;;) {
      const character = this.#text.charAt(this.#at);
      if (character !== ' ' && character !== '\n' && character !== '\r' && character !== '\t')
        return character;
      this.#at += 1;
    }
  }

  #checkLevel(level: number): void {
    if (level > deepestLevel) this.#fault('too_deep', `the body has more than ${deepestLevel} levels`);
  }

  #fault(code: string, detail: string): never {
    refuse({ pointer: pointerTo(this.#path), code, detail });
  }

  #syntaxFault(): never {
    const what = this.#at < this.#text.length ? 'unexpected character' : 'unexpected end';
    refuse({ pointer: '', code: 'syntax', detail: `${what} at offset ${this.#at}` });
  }
}
