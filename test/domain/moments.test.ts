import { expect, test } from 'vitest';
import { nextMicrosecond, parseMoment } from '../../src/domain/moments.ts';

test('a moment is a revision or a time, and a time keeps its microseconds', () => {
  expect(parseMoment('0f3a9c51d2e7-42')).toEqual({
    ok: true,
    value: { revision: { epoch: '0f3a9c51d2e7', value: 42 } },
  });
  const time = '2027-01-31T12:00:00.000417Z';
  expect(parseMoment(time)).toEqual({ ok: true, value: { time, instant: Date.UTC(2027, 0, 31, 12) } });
});

test.each([
  ['2027-01-31T13:00:00+01:00', '2027-01-31T12:00:00.000000Z', Date.UTC(2027, 0, 31, 12)],
  ['2027-01-01T08:00:00.000417+20:00', '2026-12-31T12:00:00.000417Z', Date.UTC(2026, 11, 31, 12)],
  ['2026-12-31T23:30:59.9999-16:00', '2027-01-01T15:30:59.999900Z', Date.UTC(2027, 0, 1, 15, 30, 59, 999)],
  ['2027-01-31T24:00:00Z', '2027-02-01T00:00:00.000000Z', Date.UTC(2027, 1, 1)],
])('a time is said in UTC, with six digits: %s', (text, time, instant) => {
  expect(parseMoment(text)).toEqual({ ok: true, value: { time, instant } });
});

test.each([
  '',
  'now',
  '42',
  '2027-01-31',
  '2027-02-30T12:00:00Z',
  '2027-13-01T12:00:00Z',
  '2027-01-31T12:00:00',
  '2027-01-31T12:00:00.1234567Z',
  '2027-01-31T12:00:61Z',
  '1969-12-31T23:59:59Z',
  '0000-01-01T00:00:00Z',
  "2027-01-31T12:00:00Z'; select 1",
  '2027-01-31T12:00:00+99:99',
])('anything else is none: %j', (text) => {
  expect(parseMoment(text).ok).toBe(false);
});

test.each([
  ['2027-01-31T12:00:00.000000Z', '2027-01-31T12:00:00.000001Z'],
  ['2027-01-31T12:00:00.099999Z', '2027-01-31T12:00:00.100000Z'],
  ['2027-12-31T23:59:59.999999Z', '2028-01-01T00:00:00.000000Z'],
])('the microsecond after %s is %s', (time, next) => {
  expect(nextMicrosecond(time)).toBe(next);
});
