import { expect, test, vi } from 'vitest';
import { type Deadline, deadlineIn, unavailable } from '../../src/storage/deadline.ts';
import { Gate } from '../../src/storage/gate.ts';
import type { Transactions, WriteContext } from '../../src/storage/transaction.ts';
import { openWriteSeries } from '../../src/storage/write-series.ts';

const contextWith = (deadline: Deadline) => ({ deadline, actor: { kind: 'operator' } }) as WriteContext;

test('where all who are done together are late, each is told so and no transaction is begun for nobody', async () => {
  const together: number[] = [];
  const writeAll: Transactions['writeAll'] = async (contexts) => {
    together.push(contexts.length);
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw unavailable('the database did not answer in time');
  };
  const write = vi.fn();
  const ask = openWriteSeries<string, string>(
    { write, writeAll, openGate: () => new Gate(1, 100) },
    async () => [],
    (key) => key,
  );
  const outcomes = await Promise.allSettled(
    ['a', 'b', 'c'].map((key) => ask(contextWith(deadlineIn(40)), key)),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(together.length).toBeGreaterThan(0);
  expect(together).not.toContain(0);
});
