import { RolecallError } from '../domain/errors.ts';
import type { Parsed } from '../domain/ids.ts';

/** What an argument was read as. Throws `invalid_input` with why it could not be. */
export function accepted<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new RolecallError('invalid_input', parsed.why);
}
