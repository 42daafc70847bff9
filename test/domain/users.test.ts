import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { parseEmail } from '../../src/domain/users.ts';

describe('requirement 3.2: an e-mail address', () => {
  it.each([
    ['upper case', 'Maria@Example.COM', 'maria@example.com'],
    ['a space after it', 'maria@example.com ', 'maria@example.com'],
    ['a space before it', ' maria@example.com', 'maria@example.com'],
    ['a tab and a line end', '\tmaria@example.com\r\n', 'maria@example.com'],
    ['a no-break space', '\u00a0maria@example.com\u00a0', 'maria@example.com'],
    ['all of it', ' A@X ', 'a@x'],
    ['a tag', 'Maria+Orders@example.com', 'maria+orders@example.com'],
    [
      'odd but permitted characters',
      `!#$%&'*+-/=?^_\`{|}~.@example.com`,
      `!#$%&'*+-/=?^_\`{|}~.@example.com`,
    ],
    ['an address for a domain', 'root@[127.0.0.1]', 'root@[127.0.0.1]'],
    ['254 characters', `${'a'.repeat(252)}@x`, `${'a'.repeat(252)}@x`],
    ['254 characters and spaces around', ` ${'a'.repeat(252)}@x `, `${'a'.repeat(252)}@x`],
  ])('with %s is taken', (_what, text, email) => {
    expect(parseEmail(text)).toEqual({ ok: true, value: email });
  });

  it.each([
    ['nothing', ''],
    ['only spaces', '  '],
    ['no @', 'maria'],
    ['nothing before the @', '@example.com'],
    ['nothing after the @', 'maria@'],
    ['two @', 'maria@home@example.com'],
    ['a space inside', 'maria lopez@example.com'],
    ['a line inside', 'maria@example.com\nbob@example.com'],
    ['a NUL', 'maria\0@example.com'],
    ['a DEL', 'maria\x7f@example.com'],
    ['255 characters', `${'a'.repeat(253)}@x`],
    ['a Cyrillic a', 'm\u0430ria@example.com'],
    ['a Cyrillic o in the domain', 'maria@example.c\u043em'],
    ['a Greek omicron', 'r\u03bfot@example.com'],
    ['wide letters', 'ｍaria@example.com'],
    ['a wide @', 'maria＠example.com'],
    ['a Kelvin sign, whose lower case is a k', '\u212aelvin@example.com'],
    ['a dotless i', 'mar\u0131a@example.com'],
    ['a dotted capital I', 'MAR\u0130A@EXAMPLE.COM'],
    ['a long s', 'ro\u017f@example.com'],
    ['a sharp s', 'stra\u00dfe@example.com'],
    ['a ligature', 'o\ufb03ce@example.com'],
    ['an accent', 'mar\u00eda@example.com'],
    ['a combining accent', 'mari\u0301a@example.com'],
    ['a zero-width space', 'maria\u200b@example.com'],
    ['a zero-width joiner at the end', 'maria@example.com\u200d'],
    ['a soft hyphen', 'mar\u00adia@example.com'],
    ['a right-to-left override', '\u202emaria@example.com'],
    ['a lone surrogate', 'maria\ud800@example.com'],
  ])('with %s is refused', (_what, text) => {
    expect(parseEmail(text)).toEqual({
      ok: false,
      why: 'an e-mail address is name@domain in ASCII, at most 254 characters',
    });
  });

  const printable = fc.string({ unit: fc.constantFrom(...'aZ0.+-@_ "\té'), maxLength: 8 });
  test.prop([printable], { numRuns: 500 })(
    'is stored as it will be compared: reading it again changes nothing',
    (text) => {
      const parsed = parseEmail(text);
      fc.pre(parsed.ok);
      expect(parsed.value).toMatch(/^[!-?[-~]+@[!-?[-~]+$/);
      for (const other of [parsed.value, parsed.value.toUpperCase(), ` ${text}\t`])
        expect(parseEmail(other)).toEqual(parsed);
    },
  );
});
