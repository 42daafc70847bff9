import { expect, test } from 'vitest';
import type { AskedMoment } from '../../../src/domain/moments.ts';
import { openSettling } from '../../../src/services/decisions/settling.ts';
import { deadlineIn } from '../../../src/storage/deadline.ts';

const atSecond = (second: number): AskedMoment & { readonly time: string } => ({
  time: `2027-01-31T12:00:0${second}.000000Z`,
  instant: Date.UTC(2027, 0, 31, 12, 0, second),
});
const seen = { newest: atSecond(4).time, now: atSecond(6).time, isStandby: false };
/** What is under way, look after look. */
const settling = (looks: readonly string[][], more: Partial<typeof seen> = {}) => {
  let place = 0;
  const looked = async () => ({ ...seen, writes: looks[place++] ?? [], ...more });
  return { settle: openSettling(looked), looks: () => place };
};

test('a time newer than the newest revision waits for what was under way then, and for nothing that came later', async () => {
  const { settle, looks } = settling([['3/1', '4/1'], ['3/1', '5/1'], ['5/1', '3/2'], ['5/1']]);
  expect(await settle(deadlineIn(5_000), atSecond(5))).toEqual(atSecond(5));
  expect(looks()).toBe(3);
});

test('a time of the newest revision or before waits for nothing, whatever is under way', async () => {
  const { settle, looks } = settling([['3/1']]);
  expect(await settle(deadlineIn(5_000), atSecond(4))).toEqual(atSecond(4));
  expect(looks()).toBe(1);
});

test('a standby, which sees no writes, does not answer about what is newer than it has', async () => {
  const { settle } = settling([], { isStandby: true });
  await expect(settle(deadlineIn(5_000), atSecond(5))).rejects.toMatchObject({ code: 'unavailable' });
  expect(await settle(deadlineIn(5_000), atSecond(3))).toEqual(atSecond(3));
});
