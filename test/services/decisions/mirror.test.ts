import { beforeEach, expect, test } from 'vitest';
import { settingValues } from '../../../src/domain/settings.ts';
import { Mirror } from '../../../src/services/decisions/mirror.ts';
import type { Change, Changes, Known } from '../../../src/storage/read-models/changes.ts';

const epoch = 'aaaaaaaaaaaa';
const other = 'bbbbbbbbbbbb';
const at = (value: number, of = epoch) => ({ epoch: of, value });
const emptyCatalogue = { registered: [], includes: [], edges: [] };

/** What the database says next to whoever asks for changes. */
let answers: Partial<Changes>[];
let asked: (Known | undefined)[];
let forgotten: (number | 'everything')[];
let mirror: Mirror;

beforeEach(async () => {
  answers = [{ revision: at(10), catalogue: emptyCatalogue }];
  asked = [];
  forgotten = [];
  mirror = new Mirror(async (known) => {
    asked.push(known);
    const next = {
      epochs: [],
      catalogueValue: 0,
      settings: settingValues({}),
      changes: null,
      catalogue: null,
      ...answers.shift(),
    };
    return next as Changes;
  });
  mirror.follow({
    forget: (userPk) => void forgotten.push(userPk),
    forgetEverything: () => void forgotten.push('everything'),
    catalogueReplaced: () => {},
  });
  await mirror.reach(at(1));
  forgotten = [];
});

const granted = (revision: number, userPk: number): Change => ({ revision, kind: 'grant_set', userPk });
const created = (revision: number, userPk: number): Change => ({ revision, kind: 'user_created', userPk });

async function advance(value: number, changes: readonly Change[]): Promise<void> {
  answers.push({ revision: at(value), changes });
  await mirror.reach(at(value));
}

test('what it has reached costs nothing, and what it lacks is asked for from where it is', async () => {
  await mirror.reach(at(10));
  expect(asked).toHaveLength(1);
  await advance(11, []);
  expect(asked[1]?.revision).toEqual(at(10));
});

test('a user whom a change names is forgotten, and is changed since every revision before it', async () => {
  await advance(12, [granted(11, 1), granted(12, 2)]);
  expect(forgotten).toEqual([1, 2]);
  expect([10, 11, 12].map((value) => mirror.changedSince(at(value), 1))).toEqual([true, false, false]);
  expect([10, 11, 12].map((value) => mirror.changedSince(at(value), 2))).toEqual([true, true, false]);
  expect(mirror.changedSince(at(10), 3)).toBe(false);
});

test('somebody new may be there since every revision before a user was made, and only then', async () => {
  await advance(12, [created(11, 1), granted(12, 2)]);
  expect([10, 11, 12].map((value) => mirror.changedSince(at(value), null))).toEqual([true, false, false]);
});

test('what is newer than the copy, or of another epoch, does not stand', () => {
  expect(mirror.changedSince(at(11), 1)).toBe(true);
  expect(mirror.changedSince(at(10, other), 1)).toBe(true);
  expect(mirror.changedSince(at(10), 1)).toBe(false);
});

test('before the oldest change it remembers nothing stands', async () => {
  const many = Array.from({ length: 5_000 }, (_, index) => granted(index + 11, 1));
  await advance(5_010, many);
  expect(mirror.changedSince(at(10), 2)).toBe(false);
  await advance(5_011, [granted(5_011, 1)]);
  expect(mirror.changedSince(at(10), 2)).toBe(true);
  expect(mirror.changedSince(at(11), 2)).toBe(false);
});

test('another epoch, or more changes than are told, forgets everything (C-19)', async () => {
  answers.push({ revision: at(11), changes: null });
  await mirror.reach(at(11));
  expect(forgotten).toEqual(['everything']);
  expect(mirror.changedSince(at(10), 1)).toBe(true);
  answers.push({ revision: at(3, other), catalogue: emptyCatalogue });
  await mirror.reach(at(3, other));
  expect(forgotten).toEqual(['everything', 'everything']);
  expect(mirror.snapshot?.revision).toEqual(at(3, other));
});

test('after a failover, what a server that was left behind says moves nothing back', async () => {
  const begun = [
    { id: epoch, beganAt: 0 },
    { id: other, beganAt: 10 },
  ];
  answers.push({ revision: at(11, other), epochs: begun, catalogue: emptyCatalogue });
  await mirror.reach(at(11, other));
  const reads = asked.length;
  // A fill that came over a connection to it.
  await mirror.reach(at(12));
  expect(asked).toHaveLength(reads);
  answers.push({ revision: at(12), epochs: begun.slice(0, 1), catalogue: emptyCatalogue });
  await expect(mirror.reach(at(12, other))).rejects.toMatchObject({ code: 'unavailable' });
  expect(mirror.snapshot?.revision).toEqual(at(11, other));
});

test('the catalogue is the same object until roles change', async () => {
  const before = mirror.snapshot?.catalogue;
  await advance(11, [granted(11, 1)]);
  expect(mirror.snapshot?.catalogue).toBe(before);
  answers.push({ revision: at(12), changes: [], catalogue: emptyCatalogue });
  await mirror.reach(at(12));
  expect(mirror.snapshot?.catalogue).not.toBe(before);
});

test('a database that lags takes the copy nowhere, and is not taken for one that has come as far (C-09)', async () => {
  for (const lagging of [at(9), at(10), at(11)]) {
    answers.push({ revision: lagging, changes: [] });
    await expect(mirror.reach(at(12))).rejects.toMatchObject({ code: 'unavailable' });
  }
  expect(mirror.snapshot?.revision).toEqual(at(11));
});

test('a read that failed changes nothing, and the next is a new one (C-11)', async () => {
  const failing = new Mirror(() => Promise.reject(new Error('cut')));
  await expect(failing.reach(at(1))).rejects.toThrow('cut');
  await expect(failing.reach(at(1))).rejects.toThrow('cut');
  expect(failing.snapshot).toBeUndefined();
});
