import { isDeepStrictEqual } from 'node:util';
import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  changesCatalogue,
  digestPersonal,
  type JournalKind,
  type Json,
  type SealedContent,
  sealEntry,
  shownTerms,
} from '../../src/domain/journal-entries.ts';

const memberNames = fc.constantFrom(
  'a',
  'b',
  'A',
  '',
  '1',
  '10',
  '2',
  'é',
  '😀',
  'ｚ',
  '__proto__',
  'a b',
  '"',
);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((each) => !Object.is(each, -0));
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(fc.constant(null), fc.boolean(), fc.string({ unit: 'binary' }), fc.integer(), number),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.uniqueArray(fc.tuple(memberNames, tie('value')), { selector: ([name]) => name }).map(objectOf),
  ),
})).value;

describe('one text for one value', () => {
  test.prop([json], { numRuns: 2_000 })('is JSON of the value', (value) => {
    expect(isDeepStrictEqual(JSON.parse(canonicalJson(value)), value)).toBe(true);
  });

  test.prop([json], { numRuns: 2_000 })('does not depend on the order of members', (value) => {
    expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
  });

  test.prop([json], { numRuns: 2_000 })('is the same after storing and reading', (value) => {
    const text = canonicalJson(value);
    expect(canonicalJson(JSON.parse(text))).toBe(text);
    expect(canonicalJson(JSON.parse(JSON.stringify(value)))).toBe(text);
  });

  test.prop([json, json], { numRuns: 2_000 })('differs for another value', (value, other) => {
    fc.pre(!isDeepStrictEqual(value, other));
    expect(canonicalJson(other)).not.toBe(canonicalJson(value));
  });

  it('has sorted members at every depth, elements as they are, and no spaces', () => {
    const value = { b: [3, 1, { d: null, c: true }], a: { z: 'y z', 10: 1, 9: 2 }, B: -0.5 };
    expect(canonicalJson(value)).toBe(
      '{"B":-0.5,"a":{"10":1,"9":2,"z":"y z"},"b":[3,1,{"c":true,"d":null}]}',
    );
  });

  it('tells what looks alike', () => {
    const values: Json[] = [
      null,
      'null',
      0,
      '0',
      false,
      '',
      [],
      {},
      [[]],
      [null],
      { '': null },
      ['', ''],
      [','],
      '[]',
    ];
    expect(new Set(values.map(canonicalJson)).size).toBe(values.length);
  });
});

const key = 'a journal key of the tests, 32 characters';
const previous = Buffer.alloc(32, 7);
const content: SealedContent = {
  revision: 42,
  number: 1,
  time: '2025-01-02T03:04:05.000006Z',
  kind: 'grant_set',
  actorKind: 'user',
  actorPk: 1,
  credentialPk: 2,
  throughPk: null,
  requestId: 'r-1',
  userPk: 3,
  rolePk: 4,
  permissionPk: 5,
  before: null,
  after: { scope: 'org/acme', expiresAt: null },
  digests: { user: 'ab'.repeat(32) },
};

describe('the seal of an entry', () => {
  const seal = (change: Partial<SealedContent> = {}) =>
    sealEntry(key, previous, { ...content, ...change }).toString('hex');

  const changes: { readonly [Field in keyof SealedContent]: readonly SealedContent[Field][] } = {
    revision: [41, 43, 421],
    number: [0, 2, 42],
    time: ['2025-01-02T03:04:05.000007Z', ''],
    kind: ['grant_removed', 'grant_set '],
    actorKind: ['operator'],
    actorPk: [null, 0, 2],
    credentialPk: [null, 0, 1],
    throughPk: [0, 1, 2],
    requestId: [null, '', 'r-2'],
    userPk: [null, 0, 4],
    rolePk: [null, 0, 3],
    permissionPk: [null, 0, 4],
    before: [{}, [], '', false, content.after],
    after: [
      null,
      { scope: 'org/acme' },
      { scope: 'org/acme', expiresAt: 0 },
      { scope: 'org', expiresAt: null },
    ],
    digests: [
      {},
      { user: 'ac'.repeat(32) },
      { email: 'ab'.repeat(32) },
      { user: 'ab'.repeat(32), email: '' },
    ],
  };

  it('has 256 bits and depends on nothing but what is sealed', () => {
    expect(seal()).toMatch(/^[0-9a-f]{64}$/);
    expect(seal({ after: { expiresAt: null, scope: 'org/acme' } })).toBe(seal());
    const { revision, ...others } = content;
    expect(sealEntry(key, previous, { ...others, revision }).toString('hex')).toBe(seal());
  });

  it.each(Object.entries(changes))('is another with another %s', (field, values) => {
    const seals = values.map((value) => seal({ [field]: value }));
    expect(new Set([seal(), ...seals]).size).toBe(values.length + 1);
  });

  it('is another with another key or another row before', () => {
    const flipped = Buffer.from(previous);
    flipped.writeUInt8(6, 31);
    const others = [sealEntry(`${key}!`, previous, content), sealEntry(key, flipped, content)];
    expect(new Set([seal(), ...others.map((other) => other.toString('hex'))]).size).toBe(3);
  });

  test.prop([fc.nat({ max: 9 }), fc.constantFrom(...['swapped', 'dropped', 'changed', 'doubled'])])(
    'shows every later row that something before it was %s',
    (place, what) => {
      const rows = Array.from({ length: 12 }, (_, number) => ({ ...content, number }));
      const forged = [...rows];
      const [row = content, next = content] = rows.slice(place);
      if (what === 'swapped') forged.splice(place, 2, next, row);
      if (what === 'dropped') forged.splice(place, 1);
      if (what === 'changed') forged.splice(place, 1, { ...row, actorPk: 99 });
      if (what === 'doubled') forged.splice(place, 0, row);
      const seals = chain(rows);
      const firstForged = what === 'doubled' ? place + 1 : place;
      expect(chain(forged).slice(0, firstForged)).toEqual(seals.slice(0, firstForged));
      for (const seal of chain(forged).slice(firstForged)) expect(seals).not.toContain(seal);
    },
  );
});

describe('the digest of a personal value', () => {
  it('depends on value and salt and tells neither', () => {
    const salts = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
    const digests = salts.flatMap((salt) =>
      ['maria', 'Maria', ''].map((value) => digestPersonal(salt, value)),
    );
    expect(new Set(digests).size).toBe(6);
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(digestPersonal(Buffer.alloc(16, 1), 'maria')).toBe(digests[0]);
  });
});

it.each<[JournalKind, boolean]>([
  ['role_created', true],
  ['role_updated', true],
  ['role_deleted', true],
  ['include_set', true],
  ['include_removed', true],
  ['edge_set', true],
  ['edge_removed', true],
  ['permission_registered', true],
  ['permission_updated', true],
  ['permission_retired', true],
  ['layer_applied', true],
  ['layer_removed', true],
  ['schema_changed', true],
  ['setting_changed', false],
  ['personal_purged', false],
  ['user_created', false],
  ['user_updated', false],
  ['user_deleted', false],
  ['identity_linked', false],
  ['identity_unlinked', false],
  ['grant_set', false],
  ['grant_removed', false],
  ['exception_set', false],
  ['exception_removed', false],
  ['key_created', false],
  ['key_revoked', false],
])('%s changes what roles mean: %s', (kind, expected) => {
  expect(changesCatalogue(kind)).toBe(expected);
});

function chain(rows: readonly SealedContent[]): string[] {
  let head: Buffer = previous;
  return rows.map((row) => {
    head = sealEntry(key, head, row);
    return head.toString('hex');
  });
}

describe('what an entry says of before and after', () => {
  it('is shown with times as text, and otherwise as it is', () => {
    const terms = { role: 'loader', startsAt: null, expiresAt: Date.UTC(2029, 11, 31, 12) };
    expect(shownTerms(terms)).toEqual({ ...terms, expiresAt: '2029-12-31T12:00:00.000Z' });
    expect(terms.expiresAt).toBe(Date.UTC(2029, 11, 31, 12));
    const others: readonly Json[] = [
      null,
      1_893_384_000_000,
      'x',
      [1],
      {},
      { expiresAt: 1e20 },
      { times: 3 },
    ];
    for (const other of others) expect(shownTerms(other)).toEqual(other);
  });
});

/** An object with these members of its own, `__proto__` among them. */
function objectOf(members: readonly (readonly [string, Json])[]): { readonly [member: string]: Json } {
  return Object.fromEntries(members);
}

/** The same value with the members of every object the other way round. */
function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).map(([name, member]): [string, Json] => [name, reversed(member)]);
  return objectOf(members.reverse());
}
