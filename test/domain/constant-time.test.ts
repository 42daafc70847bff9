import { expect, test } from 'vitest';
import { hashSecret, secretMatches } from '../../src/domain/api-keys.ts';
import { long, summarize } from '../support/long-run.ts';
import { spreadsOf, welch } from '../support/timing.ts';

/** What is compared, what is stored; undefined where nobody has such an id. */
type Compare = (secret: string, stored: Buffer | undefined) => boolean;

const right = 'Kq3xZ9'.repeat(8).slice(0, 43);
const stored = hashSecret(right);
/** The same letters in one piece: V8 keeps what was put together or cut out in a form that takes longer to hash. */
const flat = (text: string) => Buffer.from(text).toString('latin1');

const classes = {
  'unknown id': [flat(right), undefined],
  'wrong first byte': [flat(`k${right.slice(1)}`), stored],
  'wrong last byte': [flat(`${right.slice(0, -1)}!`), stored],
} satisfies Readonly<Record<string, readonly [string, Buffer | undefined]>>;
type Class = keyof typeof classes;
const names = Object.keys(classes) as Class[];

interface Timing {
  /** Welch's t between secrets that are wrong at their beginning and at their end. */
  readonly t: number;
  /** By which part of it an unknown id takes longer or shorter. */
  readonly unknown: number;
}

/** Calls in random order; the slowest tenth, which others cause, left out. */
function timingOf(compare: Compare, calls: number): Timing {
  const nanoseconds: Record<Class, number[]> = {
    'unknown id': [],
    'wrong first byte': [],
    'wrong last byte': [],
  };
  let matched = 0;
  for (let call = 0; call < calls; call += 1) {
    const name = names[Math.floor(Math.random() * names.length)] as Class;
    const [secret, against] = classes[name] as readonly [string, Buffer | undefined];
    const start = process.hrtime.bigint();
    matched += Number(compare(secret, against));
    nanoseconds[name].push(Number(process.hrtime.bigint() - start));
  }
  expect(matched).toBe(0);
  const spreads = spreadsOf(nanoseconds);
  const [first, last] = [spreads['wrong first byte'], spreads['wrong last byte']];
  const unknown = Math.abs(spreads['unknown id'].mean / ((first.mean + last.mean) / 2) - 1);
  return { t: welch(first, last), unknown };
}

const leaving: Compare = (secret, against) => against !== undefined && hashSecret(secret).equals(against);
const byLetter: Compare = (secret) => [...right].every((letter, place) => secret[place] === letter) && false;

test.skipIf(!long)(
  'comparing a secret takes as long wherever it is wrong, and for an id that nobody has (A-21)',
  { timeout: 300_000 },
  () => {
    timingOf(secretMatches, 100_000);
    const ours = timingOf(secretMatches, 1_000_000);
    const broken = { byLetter: timingOf(byLetter, 100_000), leaving: timingOf(leaving, 100_000) };
    summarize('constant time (A-21)', {
      t: ours.t.toFixed(2),
      'unknown id': `${(ours.unknown * 100).toFixed(2)} %`,
      't of a comparison that stops': broken.byLetter.t.toFixed(0),
      'unknown id where it is not hashed': `${(broken.leaving.unknown * 100).toFixed(0)} %`,
    });
    expect(ours.t).toBeLessThan(4.5);
    expect(ours.unknown).toBeLessThan(0.05);
    expect(broken.byLetter.t).toBeGreaterThan(4.5);
    expect(broken.leaving.unknown).toBeGreaterThan(0.05);
  },
);
