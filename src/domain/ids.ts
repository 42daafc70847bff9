/**
 * The names things go by. Each is a branded string: once parsed it cannot be mistaken for another, and nothing
 * unparsed reaches a decision or a query. Comparison is bytewise everywhere.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type UserId = Branded<'UserId'>;
export type RoleKey = Branded<'RoleKey'>;
export type PermissionSlug = Branded<'PermissionSlug'>;
export type Scope = Branded<'Scope'>;

/** Milliseconds since 1970 on the primary's clock. Bounds are whole milliseconds, so flooring "now" is exact. */
export type Instant = number;

/** Either the parsed value or a sentence saying what is wrong; the caller knows the place and the error code. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

const name = '[a-z][a-z0-9]*(?:_[a-z0-9]+)*';
const namePattern = new RegExp(`^${name}$`);
const roleKeyPattern = /^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$/;
const scopePattern = /^[A-Za-z0-9._~:@-]+(?:\/[A-Za-z0-9._~:@-]+)*$/;

const longestName = 100;
const longestText = 255;

function parsed<T extends string>(text: string): Parsed<T> {
  return { ok: true, value: text as T };
}

function refused(why: string): { ok: false; why: string } {
  return { ok: false, why };
}

/** A caller's own string for somebody: 1-255 code points, no controls, not `.` or `..` (they vanish in paths). */
export function parseUserId(text: string): Parsed<UserId> {
  if (text === '') return refused('a user id is not empty');
  if (text === '.' || text === '..') return refused('a user id is not "." or ".."');
  if (text.length > longestText && [...text].length > longestText)
    return refused('a user id has at most 255 characters');
  if (!text.isWellFormed()) return refused('a user id is well-formed Unicode');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused
  if (/[\u0000-\u001f\u007f-\u009f]/.test(text)) return refused('a user id has no control characters');
  return parsed(text);
}

export function parseRoleKey(text: string): Parsed<RoleKey> {
  if (text.length > longestName) return refused('a role key has at most 100 characters');
  return roleKeyPattern.test(text)
    ? parsed(text)
    : refused('a role key is lower-case words joined by "_" or "-", beginning with a letter');
}

/** A resource or an action: lower-case words joined by single underscores. */
export function parsePermissionPart(text: string): Parsed<string> {
  if (text.length > longestName) return refused('a resource or action has at most 100 characters');
  return namePattern.test(text)
    ? parsed(text)
    : refused('a resource or action is lower-case words joined by "_", beginning with a letter');
}

/** A scope path; the empty text is everywhere. */
export function parseScope(text: string): Parsed<Scope> {
  if (text === '') return parsed(text);
  if (text.length > longestText) return refused('a scope has at most 255 characters');
  return scopePattern.test(text)
    ? parsed(text)
    : refused('a scope is segments of letters, digits and . _ ~ : @ - joined by "/"');
}
