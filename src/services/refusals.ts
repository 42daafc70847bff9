import { RolecallError } from '../domain/errors.ts';
import { isToken, type Principal } from '../domain/principals.ts';

/** The refusal of a caller's credential, which never says why; of an API key, if nobody knows whose. */
export function notValid(caller?: Principal): RolecallError {
  const what = caller && isToken(caller) ? 'token' : 'API key';
  return new RolecallError('unauthenticated', `this ${what} is not valid`);
}
