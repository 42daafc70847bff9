import type { Parsed } from './ids.ts';

/**
 * An e-mail address as it is stored and compared: without surrounding space, in lower case. Only ASCII is taken, so
 * that two addresses which look alike are alike.
 */
export function parseEmail(text: string): Parsed<string> {
  const email = text.trim();
  // Looked at before lower case is made: some letters that are not ASCII have an ASCII lower case.
  if (email.length > 254 || !/^[!-?A-~]+@[!-?A-~]+$/.test(email))
    return { ok: false, why: 'an e-mail address is name@domain in ASCII, at most 254 characters' };
  return { ok: true, value: email.toLowerCase() };
}
