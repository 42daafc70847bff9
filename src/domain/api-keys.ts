import { hash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** What a key says about itself before anything is looked up. */
export interface ParsedApiKey {
  readonly id: string;
  readonly secret: string;
}

/** Characters of a key as its owner keeps it. */
export const keyLength = 65;

const form = /^rc_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/;
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The key as its owner keeps it: `rc_<id>_<secret><checksum>`. The checksum finds typing errors without a look-up. */
export function formatApiKey(key: ParsedApiKey): string {
  const body = `rc_${key.id}_${key.secret}`;
  return body + checksum(body);
}

/** The key's parts, or undefined if its form or checksum is wrong. */
export function parseApiKey(text: string): ParsedApiKey | undefined {
  if (!form.test(text) || checksum(text.slice(0, -checksumLength)) !== text.slice(-checksumLength))
    return undefined;
  return { id: idIn(text), secret: text.slice(16, -checksumLength) };
}

/** What stands where a key has its id, in a text that need not be a key. */
export function idIn(text: string): string {
  return text.slice(3, 15);
}

/** What is stored of a secret. It has 256 random bits, so a fast hash is enough. */
export function hashSecret(secret: string): Buffer {
  // By way of a string, which costs half of what a digest handed over as a buffer does.
  return Buffer.from(hash('sha256', secret, 'binary'), 'binary');
}

const nobodysHash = Buffer.alloc(32);

/** Compares in constant time; with no stored hash it does the same work and says no. */
export function secretMatches(secret: string, stored: Buffer | undefined): boolean {
  const equal = timingSafeEqual(hashSecret(secret), stored ?? nobodysHash);
  return equal && stored !== undefined;
}

/** A text of the given length over letters and digits from random bytes, every character equally likely. */
export function base62(length: number, random: (size: number) => Buffer): string {
  let text = '';
  while (text.length < length)
    for (const byte of random(length)) if (byte < 248 && text.length < length) text += alphabet[byte % 62];
  return text;
}

const checksumLength = 6;

function checksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let place = 0; place < checksumLength; place += 1) {
    text = alphabet[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
