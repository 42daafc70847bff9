import { expect, test } from 'vitest';
import { deadlineIn } from '../../src/storage/deadline.ts';
import { Gate } from '../../src/storage/gate.ts';
import { openSeries } from '../../src/storage/series.ts';

/** A series whose parts end when they are told to, and what was done together so far. */
function openHeldSeries(longestQueue = 100) {
  const parts: (readonly string[])[] = [];
  const ends: (() => void)[] = [];
  const join = openSeries<string, string>(new Gate(1, longestQueue), async (items) => {
    parts.push(items);
    await new Promise<void>((resolve) => ends.push(resolve));
    return items.map((item) => () => {
      if (item.startsWith('bad')) throw new Error(`${item} is bad`);
      return `${item} done`;
    });
  });
  return { parts, join, end: () => (ends.shift() as () => void)() };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('those that come while others are being done are done together, each with its own outcome', async () => {
  const { parts, join, end } = openHeldSeries();
  const first = join(deadlineIn(5_000), 'a', 'a');
  await settled();
  const others = ['b', 'bad c', 'd'].map((item) => join(deadlineIn(5_000), item, item));
  await settled();
  end();
  expect(await first).toBe('a done');
  await settled();
  expect(parts).toEqual([['a'], ['b', 'bad c', 'd']]);
  end();
  const outcomes = await Promise.allSettled(others);
  expect(outcomes.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([
    'b done',
    'Error: bad c is bad',
    'd done',
  ]);
});

test('two of one key are never done together, and nobody overtakes', async () => {
  const { parts, join, end } = openHeldSeries();
  const all = ['first', 'x', 'y', 'x', 'z'].map((key, place) =>
    join(deadlineIn(5_000), key, `${key}${place}`),
  );
  for (let turn = 0; turn < 2; turn += 1) {
    await settled();
    end();
  }
  await Promise.all(all);
  expect(parts).toEqual([
    ['first0', 'x1', 'y2'],
    ['x3', 'z4'],
  ]);
});

test('no more than 32 are done at once', async () => {
  const { parts, join, end } = openHeldSeries();
  const all = Array.from({ length: 40 }, (_, place) => join(deadlineIn(5_000), `${place}`, `${place}`));
  for (let turn = 0; turn < 2; turn += 1) {
    await settled();
    end();
  }
  await Promise.all(all);
  expect(parts.map(({ length }) => length)).toEqual([32, 8]);
});

test('whoever waits too long, or behind too many, is not done', async () => {
  const { parts, join, end } = openHeldSeries(2);
  const first = join(deadlineIn(5_000), 'a', 'a');
  await settled();
  const late = join(deadlineIn(10), 'late', 'late');
  const kept = join(deadlineIn(5_000), 'kept', 'kept');
  await expect(join(deadlineIn(5_000), 'too many', 'too many')).rejects.toMatchObject({
    code: 'unavailable',
  });
  await expect(late).rejects.toMatchObject({ code: 'unavailable' });
  end();
  await first;
  await settled();
  end();
  expect(await kept).toBe('kept done');
  expect(parts).toEqual([['a'], ['kept']]);
});

test('whoever is being done when their time is over hears what came of it', async () => {
  const { join, end } = openHeldSeries();
  const leader = join(deadlineIn(5_000), 'leader', 'leader');
  const follower = join(deadlineIn(20), 'follower', 'follower');
  await new Promise((resolve) => setTimeout(resolve, 60));
  end();
  expect(await follower).toBe('follower done');
  expect(await leader).toBe('leader done');
});
