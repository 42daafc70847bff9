import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  type Parsed,
  parsePermissionPart,
  parseRoleKey,
  parseScope,
  parseUserId,
} from '../../src/domain/ids.ts';
import { parsePermissionName, parsePermissionReference, slugOf } from '../../src/domain/permissions.ts';

function takes(parse: (text: string) => Parsed<unknown>, text: string): boolean {
  const parsed = parse(text);
  if (parsed.ok) expect(parsed.value).toBe(text);
  else expect(parsed.why).toMatch(/^an? (user id|role key|resource or action|scope|permission) /);
  return parsed.ok;
}

describe('a user id', () => {
  it.each([
    ['one character', 'a'],
    ['a space', ' '],
    ['spaces around it', ' alice '],
    ['255 letters', 'a'.repeat(255)],
    ['255 code points beyond the first plane', '😀'.repeat(255)],
    ['254 of them and a letter', `${'😀'.repeat(254)}a`],
    ['more dots', '...'],
    ['a dot and a slash', './..'],
    ['an e-mail address', 'Maria+x@example.com'],
    ['a DN', 'uid=maria,ou=people,dc=example'],
    ['what percent-encoding is made of', '%2e%2E/?#&=;+'],
    ['names of JavaScript', '__proto__'],
    ['a combining accent, as it is', 'cafe\u0301'],
    ['the composed letter, as it is', 'caf\u00e9'],
    ['other writing', 'ジョー・Ёлка'],
  ])('may be %s', (_what, text) => {
    expect(takes(parseUserId, text)).toBe(true);
  });

  it.each([
    ['empty', ''],
    ['a dot', '.'],
    ['two dots', '..'],
    ['256 letters', 'a'.repeat(256)],
    ['256 code points beyond the first plane', '😀'.repeat(256)],
    ['a million characters', '😀'.repeat(1_000_000)],
    ['a lone high surrogate', 'a\ud83d'],
    ['a lone low surrogate', '\ude00a'],
    ['surrogates in the wrong order', '\ude00\ud83d'],
    ['a line', 'alice\n'],
  ])('is not %s', (_what, text) => {
    expect(takes(parseUserId, text)).toBe(false);
  });

  it('has none of the control characters of ASCII', () => {
    for (const code of [...Array(32).keys(), 127]) {
      const control = String.fromCharCode(code);
      for (const text of [control, `a${control}b`, `a${control}`, `${control}a`])
        expect(takes(parseUserId, text), JSON.stringify(text)).toBe(false);
    }
  });

  test.prop([fc.string({ unit: 'binary', minLength: 1, maxLength: 255, size: 'max' })])(
    'is otherwise whatever the caller calls somebody',
    (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is left out
      fc.pre(!/[\u0000-\u001f\u007f-\u009f]/.test(text) && text !== '.' && text !== '..');
      expect(takes(parseUserId, text)).toBe(true);
    },
  );
});

describe('a role key', () => {
  it.each(['admin', 'a', 'a1', 'a-b', 'a_b', 'a-b_c-d', 'constructor', 'a_1', 'x'.repeat(100)])(
    'may be "%s"',
    (text) => expect(takes(parseRoleKey, text)).toBe(true),
  );

  it.each([
    ...[
      '',
      'Admin',
      '1a',
      '-a',
      '_a',
      'a-',
      'a_',
      'a--b',
      'a__b',
      'a-_b',
      'a b',
      'a.b',
      'a:b',
      'a/b',
      ' a',
      'a ',
    ],
    ...['a\n', 'a\0', 'é', 'а', 'ａ', '__proto__', 'x'.repeat(101)],
  ])('is not %j', (text) => expect(takes(parseRoleKey, text)).toBe(false));
});

describe('a resource or an action', () => {
  it.each(['a', 'a1', 'a_b', 'a_1', 'purchase_orders', 'x'.repeat(100)])('may be "%s"', (text) =>
    expect(takes(parsePermissionPart, text)).toBe(true),
  );

  it.each([
    ...['', 'A', '1', '_a', 'a_', 'a__b', 'a-b', 'a.b', 'a:b', 'a b', 'a\n', '*', 'é', 'ａ', 'x'.repeat(101)],
  ])('is not %j', (text) => expect(takes(parsePermissionPart, text)).toBe(false));
});

describe('a scope', () => {
  it.each(['', 'practices', 'org/acme/billing', 'A.b_c~d:e@f-0', '0', '.', 'a/../b', 'a'.repeat(255)])(
    'may be "%s"',
    (text) => expect(takes(parseScope, text)).toBe(true),
  );

  it.each([
    ...[
      '/',
      '/a',
      'a/',
      'a//b',
      ' ',
      'a b',
      'a\n',
      'a\0',
      'a\\b',
      'a%2Fb',
      'a*',
      'é',
      '😀',
      'a／b',
      'a/\u200b',
    ],
    ...['a'.repeat(256), `${'a/'.repeat(127)}aa`],
  ])('is not %j', (text) => expect(takes(parseScope, text)).toBe(false));

  it('of 255 characters may have any number of segments', () => {
    expect(takes(parseScope, `${'a/'.repeat(127)}a`)).toBe(true);
  });

  test.prop([fc.string({ unit: fc.constantFrom('a', 'Z', '0', '.', '/', '~', ' ', 'é'), maxLength: 6 })])(
    'is made of segments, none of them empty',
    (text) => {
      const expected = text === '' || text.split('/').every((segment) => /^[aZ0.~]+$/.test(segment));
      expect(takes(parseScope, text)).toBe(expected);
    },
  );
});

describe('a permission', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9]{0,3}$/);
  const part = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('_'));

  test.prop([part, part])('written in any of three notations comes to one slug', (resource, action) => {
    const slug = slugOf({ resource, action });
    for (const separator of ['.', ':', '_'])
      expect(parsePermissionReference(`${resource}${separator}${action}`)).toEqual({ ok: true, value: slug });
    expect(parsePermissionReference(slug)).toEqual({ ok: true, value: slug });
  });

  test.prop([part, part])('declared as resource and action has these two parts', (resource, action) => {
    for (const separator of ['.', ':'])
      expect(parsePermissionName(`${resource}${separator}${action}`)).toEqual({
        ok: true,
        value: { resource, action },
      });
    expect(parsePermissionName(slugOf({ resource, action })).ok).toBe(false);
  });

  it('requirement 2.3: two names may share one slug', () => {
    expect(slugOf({ resource: 'a_b', action: 'c' })).toBe(slugOf({ resource: 'a', action: 'b_c' }));
    for (const text of ['a_b.c', 'a.b_c', 'a_b:c', 'a:b_c', 'a_b_c'])
      expect(parsePermissionReference(text)).toEqual({ ok: true, value: 'a_b_c' });
    expect(parsePermissionName('a_b.c')).not.toEqual(parsePermissionName('a.b_c'));
  });

  it.each([
    ['adminpanel.view_dashboard', 'adminpanel_view_dashboard'],
    ['customers.change_customer', 'customers_change_customer'],
    ['document:create', 'document_create'],
    [`${'r'.repeat(100)}.${'a'.repeat(100)}`, `${'r'.repeat(100)}_${'a'.repeat(100)}`],
    [`${'r'.repeat(100)}_${'a'.repeat(100)}`, `${'r'.repeat(100)}_${'a'.repeat(100)}`],
  ])('%s goes out as %s', (text, slug) => {
    expect(parsePermissionReference(text)).toEqual({ ok: true, value: slug });
  });

  it.each([
    ...[
      '',
      'orders',
      '.',
      ':',
      '_',
      'a.',
      '.a',
      'a:',
      ':a',
      'a_',
      '_a',
      'a.b.c',
      'a:b:c',
      'a.b:c',
      'a:b.c',
      'a..b',
    ],
    ...[
      'a.:b',
      'A.b',
      'a.B',
      'A_b',
      'a.b ',
      ' a.b',
      'a.b\n',
      'a_b\n',
      'a__b',
      'a.b__c',
      'a.1',
      'a-b.c',
      'a.*',
      '*',
    ],
    ...[
      'a/b',
      'é.a',
      'а.b',
      'a\u2024b',
      `${'r'.repeat(101)}.a`,
      `r.${'a'.repeat(101)}`,
      `r_${'a'.repeat(200)}`,
    ],
  ])('is not %j', (text) => {
    expect(takes(parsePermissionReference, text)).toBe(false);
    expect(takes(parsePermissionName, text)).toBe(false);
  });
});
