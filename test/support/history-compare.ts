import { isDeepStrictEqual } from 'node:util';

/** Throws, naming what is meant, unless what came equals what had to come. */
export function same(what: string, came: unknown, had: unknown): void {
  if (isDeepStrictEqual(came, had)) return;
  throw new Error(`${what}\n  came: ${JSON.stringify(came)}\n  due:  ${JSON.stringify(had)}`);
}

/** The same for an answer of which only some members are foretold. */
export function sameInPart(what: string, came: unknown, due: unknown): void {
  same(what, partLike(came, due), due);
}

/** Of what came, as much as has a counterpart in what had to come. */
function partLike(came: unknown, due: unknown): unknown {
  if (Array.isArray(came) && Array.isArray(due))
    return came.map((item, index) => (index < due.length ? partLike(item, due[index]) : item));
  if (isObject(came) && isObject(due))
    return Object.fromEntries(
      Object.entries(due).map(([name, value]) => [
        name,
        partLike((came as Record<string, unknown>)[name], value),
      ]),
    );
  return came;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
