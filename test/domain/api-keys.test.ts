import { createHash, randomBytes } from 'node:crypto';
import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  base62,
  formatApiKey,
  hashSecret,
  keyLength,
  parseApiKey,
  secretMatches,
} from '../../src/domain/api-keys.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));

const letters = (length: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: length, maxLength: length });
const keys = fc.record({ id: letters(12), secret: letters(43) });

const isKey = (text: string) => parseApiKey(text) !== undefined;
const ordinary = formatApiKey({ id: 'AbCdEf012345', secret: 'x9Z'.repeat(14).concat('0') });
const monotonous = formatApiKey({ id: '0'.repeat(12), secret: '0'.repeat(43) });

describe('the form of a key', () => {
  test.prop([keys])('is rc, id, secret and checksum, and reads back as id and secret', (key) => {
    const text = formatApiKey(key);
    expect(text).toHaveLength(keyLength);
    expect(text.slice(0, 59)).toBe(`rc_${key.id}_${key.secret}`);
    expect(text.slice(59)).toMatch(/^[0-9A-Za-z]{6}$/);
    expect(parseApiKey(text)).toEqual(key);
  });

  it('never changes, because keys outlive releases', () => {
    expect(monotonous).toBe(`rc_${'0'.repeat(12)}_${'0'.repeat(43)}05LvH9`);
  });

  it.each([
    ['nothing', ''],
    ['the scheme of the header', `Bearer ${ordinary}`],
    ['a space before', ` ${ordinary}`],
    ['a space after', `${ordinary} `],
    ['a line end', `${ordinary}\n`],
    ['another prefix', ordinary.replace('rc_', 'rk_')],
    ['upper case', ordinary.toUpperCase()],
    ['lower case', ordinary.toLowerCase()],
    ['half of it', ordinary.slice(0, 30)],
    ['no checksum', ordinary.slice(0, -6)],
    ['two of them', ordinary + ordinary],
    ['wide letters', ordinary.replace('A', 'Ａ')],
  ])('is not %s', (_what, text) => {
    expect(isKey(text)).toBe(false);
  });
});

describe.each([ordinary, monotonous])('a typing error in %s is found without a look-up:', (key) => {
  const places = [...key].keys();
  const found = (typed: string) => !isKey(typed);

  it('every other character at every place', () => {
    const missed = [...places].flatMap((place) =>
      printable
        .filter((character) => character !== key[place])
        .map((character) => key.slice(0, place) + character + key.slice(place + 1))
        .filter((typed) => !found(typed)),
    );
    expect(missed).toEqual([]);
  });

  it('every character left out or typed twice', () => {
    for (let place = 0; place < key.length; place += 1) {
      expect(found(key.slice(0, place) + key.slice(place + 1))).toBe(true);
      expect(found(key.slice(0, place + 1) + key.slice(place))).toBe(true);
    }
  });

  it('every two neighbours exchanged', () => {
    for (let place = 1; place < key.length; place += 1) {
      const typed =
        key.slice(0, place - 1) + key.charAt(place) + key.charAt(place - 1) + key.slice(place + 1);
      expect(found(typed)).toBe(typed !== key);
    }
  });
});

describe('a secret', () => {
  test.prop([letters(43), letters(43)])('matches its own hash and no other', (secret, other) => {
    expect(secretMatches(secret, hashSecret(secret))).toBe(true);
    expect(secretMatches(other, hashSecret(secret))).toBe(other === secret);
  });

  test.prop([letters(43)])('matches nothing if nothing is stored', (secret) => {
    expect(secretMatches(secret, undefined)).toBe(false);
    expect(secretMatches(secret, Buffer.alloc(32))).toBe(false);
  });

  test.prop([letters(43), fc.nat({ max: 255 })])('matches no hash that differs in one bit', (secret, bit) => {
    const stored = hashSecret(secret);
    stored.writeUInt8(stored.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    expect(secretMatches(secret, stored)).toBe(false);
  });

  it('is stored as its SHA-256', () => {
    expect(hashSecret('secret').toString('hex')).toBe(createHash('sha256').update('secret').digest('hex'));
  });
});

describe('letters and digits from random bytes', () => {
  test.prop([fc.integer({ min: 1, max: 100 })])('have the length asked for', (length) => {
    expect(base62(length, randomBytes)).toMatch(new RegExp(`^[0-9A-Za-z]{${length}}$`));
  });

  it('are equally likely: of all bytes every character comes four times, and the rest is thrown away', () => {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => 255 - byte));
    expect(base62(248, () => everyByte)).toBe([...alphabet.repeat(4)].reverse().join(''));
  });

  it('ask again as long as bytes are thrown away', () => {
    const answers = [Buffer.from([255, 248]), Buffer.from([250, 247]), Buffer.from([0, 1])];
    expect(base62(2, () => answers.shift() ?? Buffer.alloc(0))).toBe('z0');
  });
});
