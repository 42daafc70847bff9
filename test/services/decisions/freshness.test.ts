import { setImmediate as endOfTurn, setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Revision } from '../../../src/domain/revisions.ts';
import { settingValues } from '../../../src/domain/settings.ts';
import { type FreshnessSources, openFreshness } from '../../../src/services/decisions/freshness.ts';
import { Mirror } from '../../../src/services/decisions/mirror.ts';
import type { Changes } from '../../../src/storage/read-models/changes.ts';
import type { Head } from '../../../src/storage/read-models/head.ts';

const epoch = 'aaaaaaaaaaaa';
const at = (value: number): Revision => ({ epoch, value });

/** A database of which only the head matters. */
function open(options: Partial<FreshnessSources> = {}) {
  const database = { value: 1, now: 1_000_000, place: 'here' };
  const acknowledged: (Revision | undefined)[] = [];
  const mirror = new Mirror(
    async (): Promise<Changes> => ({
      revision: at(database.value),
      epochs: [{ id: epoch, beganAt: 0 }],
      catalogueValue: 0,
      settings: settingValues({}),
      changes: [],
      catalogue: { registered: [], includes: [], edges: [] },
    }),
  );
  const readHead = async (): Promise<Head> => ({
    revision: at(database.value),
    now: database.now,
    place: database.place,
  });
  const freshness = openFreshness({
    mirror,
    leaseMs: 50,
    timeoutMs: 5_000,
    noteSharers: () => {},
    readHead,
    acknowledgePlace: async (lost) => void acknowledged.push(lost),
    ...options,
  });
  return { database, mirror, freshness, acknowledged, readHead };
}

test('a place is acknowledged when it is first read and when it is another, not each time', async () => {
  const { database, freshness, acknowledged } = open();
  for (let round = 0; round < 3; round += 1) await freshness.latest();
  expect(acknowledged).toEqual([undefined]);
  database.place = 'elsewhere';
  for (let round = 0; round < 3; round += 1) await freshness.latest();
  expect(acknowledged).toEqual([undefined, undefined]);
});

test('a head below what was known before it was read is lost history (C-19)', async () => {
  const { database, freshness, acknowledged } = open();
  database.value = 9;
  await freshness.latest();
  database.value = 4;
  await freshness.latest();
  expect(acknowledged).toEqual([undefined, at(9)]);
});

test('a head read on a server that a failover left behind is not the newest', async () => {
  const other = 'bbbbbbbbbbbb';
  const epochs = [
    { id: epoch, beganAt: 0 },
    { id: other, beganAt: 1 },
  ];
  const heads = [other, epoch, epoch, epoch, other];
  const { database, mirror } = open();
  const place = 'here';
  const moved = new Mirror(async () => ({
    revision: { epoch: other, value: 2 },
    epochs,
    catalogueValue: 0,
    settings: settingValues({}),
    changes: null,
    catalogue: { registered: [], includes: [], edges: [] },
  }));
  const readHead = async (): Promise<Head> => ({
    revision: { epoch: heads.shift() ?? other, value: 2 },
    now: database.now,
    place,
  });
  expect(mirror.hasLeft(epoch)).toBe(false);
  await moved.reach({ epoch: other, value: 2 });
  const { freshness } = open({ mirror: moved, readHead });
  // The first of its place is read twice.
  await expect(freshness.latest()).rejects.toMatchObject({ code: 'unavailable' });
  expect(freshness.isWithinLease()).toBe(false);
  await freshness.latest();
  expect(freshness.isWithinLease()).toBe(true);
});

test('a head that others have overtaken while it was read is not lost history', async () => {
  let hold: Promise<void> = Promise.resolve();
  const opened = open();
  const { database, mirror, acknowledged } = opened;
  const freshness = openFreshness({
    mirror,
    leaseMs: 50,
    timeoutMs: 5_000,
    noteSharers: () => {},
    acknowledgePlace: async (lost) => void acknowledged.push(lost),
    async readHead() {
      const head = await opened.readHead();
      await hold;
      return head;
    },
  });
  await freshness.latest();
  let release = () => {};
  hold = new Promise((resolve) => {
    release = resolve;
  });
  const asked = freshness.latest();
  await pause(10);
  database.value = 2;
  await mirror.reach(at(2));
  release();
  await asked;
  expect(acknowledged).toEqual([undefined]);
});

test('a lease runs from before the head was read, and out', async () => {
  const { freshness } = open();
  expect(freshness.isWithinLease()).toBe(false);
  await freshness.latest();
  expect(freshness.isWithinLease()).toBe(true);
  await pause(60);
  expect(freshness.isWithinLease()).toBe(false);
  const { readHead } = open();
  const slow = open({ readHead: () => pause(60).then(readHead) });
  await slow.freshness.latest();
  expect(slow.freshness.isWithinLease()).toBe(false);
});

test('a lease is renewed once half of it is over, by one read at a time, and again after one that failed (F-07)', async () => {
  let reads = 0;
  let fails = false;
  const { readHead } = open();
  const { freshness } = open({
    leaseMs: 1_000,
    readHead: async () => {
      reads += 1;
      if (fails) throw new Error('cut');
      return pause(20).then(readHead);
    },
  });
  await freshness.latest();
  const read = reads;
  freshness.renewLease();
  expect(reads).toBe(read);
  await pause(520);
  for (let time = 0; time < 5; time += 1) {
    freshness.renewLease();
    await pause(1);
  }
  expect(reads).toBe(read + 1);
  await pause(520);
  fails = true;
  for (let time = 0; time < 2; time += 1) {
    freshness.renewLease();
    await pause(20);
  }
  expect(reads).toBe(read + 3);
});

test("time is the primary's: it goes on between reads, is not set back by a slow one, and follows a clock that was set (C-08)", async () => {
  const { database, freshness } = open();
  await freshness.latest();
  const first = freshness.now();
  expect(first).toBeGreaterThanOrEqual(1_000_000);
  await pause(20);
  const later = freshness.now();
  expect(later).toBeGreaterThan(first);
  await freshness.latest();
  expect(freshness.now()).toBeGreaterThanOrEqual(later);
  database.now = 5_000;
  await freshness.latest();
  expect(freshness.now()).toBeLessThan(10_000);
  database.now = 9_000_000;
  await freshness.latest();
  expect(freshness.now()).toBeGreaterThanOrEqual(9_000_000);
});

test('a read that takes too long is unavailable, and the next one is read anew', async () => {
  let hangs = true;
  const { readHead } = open();
  const { freshness } = open({
    timeoutMs: 30,
    readHead: () => (hangs ? new Promise(() => {}) : readHead()),
  });
  await expect(freshness.latest()).rejects.toMatchObject({ code: 'unavailable' });
  hangs = false;
  await freshness.latest();
});

test('the head begins to be read for those who have come, if any of those before them asked for it', async () => {
  let reads = 0;
  let fails = false;
  const { readHead } = open();
  const { freshness } = open({
    readHead: async () => {
      reads += 1;
      if (fails) throw new Error('cut');
      return readHead();
    },
  });
  await freshness.latest();
  reads = 0;
  const first = freshness.expectQuestions();
  await endOfTurn();
  expect(reads).toBe(0);
  await freshness.latest(first);
  expect(reads).toBe(1);
  const second = freshness.expectQuestions();
  await endOfTurn();
  expect(reads).toBe(2);
  await Promise.all([freshness.latest(second), freshness.latest(second)]);
  expect(reads).toBe(2);
  // What asks for itself, as a lease that is renewed, says nothing of those who come.
  freshness.expectQuestions();
  await freshness.latest();
  const read = reads;
  freshness.expectQuestions();
  await endOfTurn();
  expect(reads).toBe(read);
  await freshness.latest(freshness.expectQuestions());
  fails = true;
  const third = freshness.expectQuestions();
  await pause(5);
  await expect(freshness.latest(third)).rejects.toThrow('cut');
});
