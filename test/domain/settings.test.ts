import { describe, expect, it, test } from 'vitest';
import type { Json } from '../../src/domain/journal-entries.ts';
import {
  effectiveValue,
  requireSettingKey,
  type SettingDefinition,
  settingDefinitions,
  settingFault,
  settingKeys,
  settingValues,
} from '../../src/domain/settings.ts';

const some = { category: 'limits', description: 'x', mutable: true, default: null } as const;

describe('a setting takes values of its type and no others (3.1)', () => {
  const samples: Readonly<Record<string, Json>> = {
    string: 'text',
    integer: 7,
    fraction: 7.5,
    unsafe: 2 ** 53,
    boolean: true,
    null: null,
    list: [1],
    object: { a: [1, { b: null }] },
    digits: '7',
    zero: 0,
    empty: '',
  };
  const taken: Readonly<Record<SettingDefinition['type'], readonly string[]>> = {
    string: ['string', 'digits', 'empty'],
    integer: ['integer', 'zero'],
    boolean: ['boolean'],
    json: Object.keys(samples),
  };
  it.for(Object.entries(taken))('%s', ([type, names]) => {
    const definition = { ...some, type: type as SettingDefinition['type'] };
    const accepted = Object.entries(samples).filter(([, value]) => !settingFault(definition, value));
    expect(accepted.map(([name]) => name)).toEqual(
      Object.keys(samples).filter((name) => names.includes(name)),
    );
  });

  it('and within its bounds, which it names', () => {
    const number: SettingDefinition = { ...some, type: 'integer', least: 1, most: 9 };
    for (const value of [1, 9]) expect(settingFault(number, value)).toBeUndefined();
    for (const value of [0, 10, -1])
      expect(settingFault(number, value)).toBe('this setting is a whole number from 1 to 9');
    const name: SettingDefinition = { ...some, type: 'string', most: 3 };
    expect(settingFault(name, 'abc')).toBeUndefined();
    expect(settingFault(name, 'abcd')).toBe('this setting is a text of at most 3 characters');
  });
});

test('every default is a value that the setting takes, or nothing', () => {
  for (const key of settingKeys) {
    const definition: SettingDefinition = settingDefinitions[key];
    if (definition.default !== null)
      expect(settingFault(definition, definition.default), key).toBeUndefined();
    expect(definition.description, key).not.toBe('');
  }
});

test('what counts is what was set, and the default of everything else', () => {
  const defaults = Object.fromEntries(settingKeys.map((key) => [key, settingDefinitions[key].default]));
  expect(settingValues({})).toEqual(defaults);
  expect(settingValues({ lease_ms: 5, default_role: 'loader' })).toEqual({
    ...defaults,
    lease_ms: 5,
    default_role: 'loader',
  });
});

test('what another release stored and this one would not take does not count', () => {
  expect(settingValues({ lease_ms: 'long', of_tomorrow: true, idempotency_hours: 1 })).toEqual(
    settingValues({}),
  );
  const fixed: SettingDefinition = { ...some, type: 'integer', mutable: false, default: 3 };
  expect(effectiveValue(fixed, 4)).toBe(3);
});

test('an unknown key is refused with the nearest ones', () => {
  expect(requireSettingKey('lease_ms')).toBe('lease_ms');
  expect(() => requireSettingKey('lease_m')).toThrow(
    expect.objectContaining({ code: 'unknown_setting', didYouMean: ['lease_ms'] }),
  );
  expect(() => requireSettingKey('toString')).toThrow(expect.objectContaining({ code: 'unknown_setting' }));
});
