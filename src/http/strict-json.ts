import { isUtf8 } from 'node:buffer';
import { parseStrictText, refuse } from '../domain/strict-json.ts';

/** Reads a request body as strict JSON in UTF-8. Throws `malformed_json`. */
export function parseStrictJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) refuse({ pointer: '', code: 'invalid_utf8', detail: 'the body is not valid UTF-8' });
  return parseStrictText(bytes.toString('utf8'));
}
