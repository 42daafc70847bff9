/**
 * Reads a query string so that nothing in it can be understood in two ways; it never throws, the route's schema does
 * the refusing. The object has no prototype, so `__proto__` is a name like any other. A repeated name becomes the array
 * of its values and an unreadable name or value becomes null: no schema for a string accepts either.
 *
 * Unreadable is what is not percent-encoded UTF-8, and what holds a NUL. `+` is a space, `;` separates nothing, a name
 * without `=` has the empty value.
 */
export function parseQueryString(text: string): Record<string, unknown> {
  if (text === '') return noQuery;
  const query: Record<string, unknown> = Object.create(null);
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const rawName = equals === -1 ? pair : pair.slice(0, equals);
    const rawValue = equals === -1 ? '' : pair.slice(equals + 1);
    const name = decode(rawName);
    if (name === null) add(query, rawName, null);
    else add(query, name, decode(rawValue));
  }
  return query;
}

/** What is read of a request without a query, which most are. */
export const noQuery: Record<string, unknown> = Object.freeze(Object.create(null));

function add(query: Record<string, unknown>, name: string, value: string | null): void {
  const earlier = query[name];
  if (earlier === undefined) query[name] = value;
  else if (Array.isArray(earlier)) earlier.push(value);
  else query[name] = [earlier, value];
}

function decode(text: string): string | null {
  // Node hands over raw bytes as Latin-1: taken at face value, a raw "é" would name somebody else than "%C3%A9" does.
  if (/[^ -~]/.test(text)) return null;
  try {
    const decoded = decodeURIComponent(text.replaceAll('+', ' '));
    return decoded.includes('\0') ? null : decoded;
  } catch {
    return null;
  }
}
