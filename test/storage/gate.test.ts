import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { deadlineIn } from '../../src/storage/deadline.ts';
import { Gate } from '../../src/storage/gate.ts';

const far = () => deadlineIn(60_000);

/** Resolves to whether the promise has settled once everything that is due now has run. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise.catch(() => {}), sleep(20, pending)])) !== pending;
}

describe('a gate', () => {
  test('lets in as many as it has places and the next one when a place is given back', async () => {
    const gate = new Gate(2, 10);
    const leave = await gate.enter(far());
    await gate.enter(far());
    const third = gate.enter(far());
    expect(await hasSettled(third)).toBe(false);
    leave();
    await third;
  });

  test('lets those who wait in by the order in which they came', async () => {
    const gate = new Gate(1, 10);
    const order: number[] = [];
    const leave = await gate.enter(far());
    const waiting = [1, 2, 3, 4, 5].map(async (number) => {
      const leaveToo = await gate.enter(far());
      order.push(number);
      leaveToo();
    });
    leave();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3, 4, 5]);
  });

  test('turns the next one away at once when its queue is full', async () => {
    const gate = new Gate(1, 2);
    await gate.enter(far());
    const waiting = [gate.enter(far()), gate.enter(far())];
    await expect(gate.enter(far())).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 });
    for (const each of waiting) expect(await hasSettled(each)).toBe(false);
  });

  test('has room in the queue again when somebody leaves it for a place', async () => {
    const gate = new Gate(1, 1);
    const leave = await gate.enter(far());
    const waiting = gate.enter(far());
    await expect(gate.enter(far())).rejects.toMatchObject({ code: 'unavailable' });
    leave();
    const leaveToo = await waiting;
    const next = gate.enter(far());
    leaveToo();
    await next;
  });

  test('turns away whoever has no time left, although a place is free', async () => {
    const gate = new Gate(1, 1);
    await expect(gate.enter(deadlineIn(0))).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 });
    await gate.enter(far());
  });

  test('tells whoever waited too long, and gives the place that comes free to the next one', async () => {
    const gate = new Gate(1, 10);
    const leave = await gate.enter(far());
    const impatient = gate.enter(deadlineIn(30));
    const patient = gate.enter(far());
    await expect(impatient).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1 });
    leave();
    await patient;
  });

  test('has room in the queue again when somebody gives up', async () => {
    const gate = new Gate(1, 1);
    const leave = await gate.enter(far());
    await expect(gate.enter(deadlineIn(20))).rejects.toMatchObject({ code: 'unavailable' });
    const waiting = gate.enter(far());
    leave();
    await waiting;
  });

  test('counts a place given back twice once', async () => {
    const gate = new Gate(1, 10);
    const leave = await gate.enter(far());
    leave();
    leave();
    await gate.enter(far());
    expect(await hasSettled(gate.enter(far()))).toBe(false);
  });

  test('never holds more than it has places, and loses none, whoever gives up when', async () => {
    const places = 3;
    const gate = new Gate(places, 1_000);
    let inside = 0;
    let most = 0;
    let admitted = 0;
    const visits = Array.from({ length: 600 }, async (_, visit) => {
      await sleep(Math.random() * 400);
      // Deadlines and stays of the same few milliseconds make admission and giving up meet.
      const leave = await gate.enter(deadlineIn(Math.random() * 12)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'unavailable' });
      });
      if (!leave) return;
      admitted += 1;
      inside += 1;
      most = Math.max(most, inside);
      await (visit % 2 === 0 ? sleep(Math.random() * 10) : Promise.resolve());
      inside -= 1;
      leave();
    });
    await Promise.all(visits);
    expect(most).toBe(places);
    expect(admitted).toBeGreaterThan(places);
    expect(admitted).toBeLessThan(600);
    for (let place = 0; place < places; place += 1) await gate.enter(far());
    expect(await hasSettled(gate.enter(far()))).toBe(false);
  });
});
