import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openDoorstep, type RefusedRequest } from '../../src/services/doorstep.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const atOnce = 200;

/** Refuses over connections of their own unless one is named, and lists what becomes of them. */
function watched() {
  const doorstep = openDoorstep(() => performance.now());
  const seen: string[] = [];
  const refuse = (
    name: string,
    options: Partial<Pick<RefusedRequest, 'ip' | 'connection'>> & { within?: number } = {},
  ) => {
    const { ip = '10.0.0.1', within = 20_000 } = options;
    const { connection = { destroy: () => seen.push(`${name} hung up`) } } = options;
    const refused = {
      connection,
      ip,
      deadline: performance.now() + within,
      tell: () => seen.push(`${name} told`),
    };
    doorstep.turnAway(refused);
    return refused;
  };
  const refuseMany = (count: number, ip = '10.0.0.1') => {
    for (let one = 0; one < count; one += 1) refuse('many', { ip });
  };
  const take = () => seen.splice(0);
  return { doorstep, refuse, refuseMany, take };
}

/** An address that has been told so often that others of it wait. */
function crowded() {
  const made = watched();
  made.refuseMany(atOnce);
  expect(made.take()).toHaveLength(atOnce);
  return made;
}

test('of one address so many are told at once in a second, and the others between half a second and one later (L-06)', async () => {
  const { doorstep, refuseMany, take } = crowded();
  refuseMany(100);
  expect(take()).toEqual([]);
  expect(doorstep.waiting).toBe(100);
  await vi.advanceTimersByTimeAsync(499);
  expect(take()).toEqual([]);
  await vi.advanceTimersByTimeAsync(250);
  const soon = take().length;
  expect(soon).toBeGreaterThan(10);
  expect(soon).toBeLessThan(90);
  await vi.advanceTimersByTimeAsync(251);
  expect(soon + take().length).toBe(100);
  expect(doorstep.waiting).toBe(0);
  expect(doorstep.counts()).toEqual([
    [{ when: 'atOnce' }, atOnce],
    [{ when: 'later' }, 100],
    [{ when: 'never' }, 0],
  ]);
});

test('who comes from another network is told at once, and everybody is after a second', async () => {
  const { refuse, refuseMany, take } = crowded();
  refuse('other', { ip: '10.0.0.2' });
  expect(take()).toEqual(['other told']);
  refuseMany(atOnce, '2001:db8::1');
  take();
  refuse('neighbour', { ip: '2001:db8::2' });
  expect(take()).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(take()).toEqual(['neighbour told']);
  refuse('same');
  expect(take()).toEqual(['same told']);
});

test('is told by the deadline of the request, if that is earlier', async () => {
  const { refuse, take } = crowded();
  refuse('hurried', { within: 100 });
  await vi.advanceTimersByTimeAsync(100);
  expect(take()).toEqual(['hurried told']);
});

test('who went away is told nothing, and takes nobody with them', async () => {
  const { doorstep, refuse, take } = crowded();
  const gone = refuse('gone');
  refuse('next');
  doorstep.forget(gone.connection);
  expect(doorstep.waiting).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(take()).toEqual(['next told']);
});

test('all are told when it is cleared, once, and whoever comes after it', async () => {
  const { doorstep, refuse, refuseMany, take } = crowded();
  refuseMany(3);
  doorstep.clear();
  expect(take()).toEqual(['many told', 'many told', 'many told']);
  expect(doorstep.waiting).toBe(0);
  await vi.advanceTimersByTimeAsync(500);
  refuse('late');
  expect(take()).toEqual(['late told']);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(take()).toEqual([]);
});

test('no more than ten thousand wait; beyond them the connection is closed', () => {
  const { doorstep, refuse, refuseMany, take } = crowded();
  refuseMany(10_000);
  expect(take()).toEqual([]);
  refuse('one more');
  expect(take()).toEqual(['one more hung up']);
  expect(doorstep.waiting).toBe(10_000);
});
