import { parseStrictText } from './strict-json.ts';

/** Why a token is refused, for the log: a closed set of sentences, with nothing in them that came with the token. */
export class TokenFault extends Error {
  override readonly name = 'TokenFault';
}

/** A token as it describes itself: nothing of this is true before its signature was found to be its issuer's. */
export interface ReadToken {
  readonly header: TokenHeader;
  readonly claims: Claims;
}

export interface TokenHeader {
  readonly alg: string;
  readonly typ: string | undefined;
  readonly kid: string | undefined;
}

export type Claims = Readonly<Record<string, unknown>>;

/** What a provider's tokens must be like. */
export interface TokenRules {
  readonly audience: string;
  readonly tokenType: 'at+jwt' | 'JWT';
  readonly algorithms: readonly string[];
  readonly toleranceMs: number;
}

/** What is used of a token that holds, its times in milliseconds since 1970. */
export interface VerifiedToken {
  readonly issuer: string;
  readonly subject: string;
  readonly issuedAt: number;
  /** As it says; it is honoured longer by the tolerance. */
  readonly expiresAt: number;
  readonly claims: Claims;
}

const longestToken = 16_384;
const longestName = 255;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lastSecond = Date.UTC(9999, 11, 31) / 1_000;

/** Headers that bring keys or rules of their own, or another meaning of what was signed. */
const foreignRules = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc', 'cty', 'p2s', 'p2c'];
/** What only ID tokens have: they say who logged in to a client, and let nobody in anywhere. */
const marksOfIdTokens = ['nonce', 'at_hash', 'c_hash', 's_hash'];

/** Takes a token apart without believing it. Throws a TokenFault for what no signature could make good. */
export function readToken(text: string): ReadToken {
  if (text.length > longestToken) throw new TokenFault('it is too long');
  const parts = text.split('.');
  if (parts.length !== 3) throw new TokenFault('it is no signed token');
  const [header, claims] = [memberOf(parts[0]), memberOf(parts[1])];
  bytesOf(parts[2]);
  const { alg, typ, kid } = header;
  if (typeof alg !== 'string') throw new TokenFault('it names no algorithm');
  if (typ !== undefined && typeof typ !== 'string') throw new TokenFault('its type is no text');
  if (kid !== undefined && !isName(kid)) throw new TokenFault('it does not name its key by a short text');
  if (foreignRules.some((name) => Object.hasOwn(header, name)))
    throw new TokenFault('its header brings keys or rules of its own');
  return { header: { alg, typ, kid: kid as string | undefined }, claims };
}

/** Throws a TokenFault unless the header is of a kind that the provider's access tokens have. */
export function requireHeader({ alg, typ }: TokenHeader, { algorithms, tokenType }: TokenRules): void {
  if (!algorithms.includes(alg)) throw new TokenFault('its algorithm is not on the list of its provider');
  const type = typ?.toLowerCase().replace(/^application\//, '');
  const isExpected = tokenType === 'at+jwt' ? type === 'at+jwt' : type === 'jwt' || type === undefined;
  if (!isExpected) throw new TokenFault('it is of another type than the access tokens of its provider');
}

/** What signed claims of a known issuer say at an instant. Throws a TokenFault unless they are an access token in force for the audience. */
export function requireClaims(claims: Claims, rules: TokenRules, now: number): VerifiedToken {
  const { iss, sub, aud } = claims;
  if (!isName(iss)) throw new TokenFault('its issuer is no short text');
  if (!isName(sub)) throw new TokenFault('its subject is missing or no short text');
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.every((one) => typeof one === 'string') || !audiences.includes(rules.audience))
    throw new TokenFault('it is for another audience');
  const isIdToken = marksOfIdTokens.some((name) => Object.hasOwn(claims, name));
  if (isIdToken || claims['token_use'] === 'id' || claims['typ'] === 'ID')
    throw new TokenFault('it is an ID token');
  const expiresAt = timeOf(claims, 'exp');
  const issuedAt = timeOf(claims, 'iat');
  const startsAt = claims['nbf'] === undefined ? issuedAt : timeOf(claims, 'nbf');
  if (expiresAt + rules.toleranceMs <= now) throw new TokenFault('it has expired');
  if (Math.max(startsAt, issuedAt) > now + rules.toleranceMs) throw new TokenFault('it does not count yet');
  return { issuer: iss, subject: sub, issuedAt, expiresAt, claims };
}

/** A time that a token must have, in milliseconds. */
function timeOf(claims: Claims, name: 'exp' | 'iat' | 'nbf'): number {
  const seconds = claims[name];
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= lastSecond))
    throw new TokenFault(`its ${name} is missing or no time`);
  return Math.floor(seconds * 1_000);
}

function isName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= longestName &&
    value.isWellFormed() &&
    !/\p{Cc}/u.test(value)
  );
}

function memberOf(part: string | undefined): Record<string, unknown> {
  const bytes = bytesOf(part);
  let value: unknown;
  try {
    value = parseStrictText(utf8.decode(bytes));
  } catch {
    throw new TokenFault('it is not strict JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenFault('it is no JSON object');
  return value as Record<string, unknown>;
}

/** The bytes of a part, which has one spelling only: what differs anywhere is another token. */
function bytesOf(part: string | undefined): Buffer {
  const bytes = Buffer.from(part ?? '', 'base64url');
  if (bytes.length === 0 || bytes.toString('base64url') !== part) throw new TokenFault('it is not base64url');
  return bytes;
}
