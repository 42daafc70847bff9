import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  type Epoch,
  formatRevision,
  parseRevision,
  placeRevision,
  type Revision,
} from '../../src/domain/revisions.ts';

const first = '000000000001';
const second = 'abcdef012345';

describe('the string that stands for a revision', () => {
  const revision = fc.record({
    epoch: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 12, maxLength: 12 }),
    value: fc.maxSafeNat(),
  });

  test.prop([revision])('reads back as the revision', (each) => {
    expect(parseRevision(formatRevision(each))).toEqual({ ok: true, value: each });
  });

  test.prop([fc.string({ unit: fc.constantFrom(...'09af-x. ') })])(
    'is the only one for its revision',
    (text) => {
      const parsed = parseRevision(text);
      if (parsed.ok) expect(formatRevision(parsed.value)).toBe(text);
    },
  );

  it.each([
    ...[
      '',
      '1',
      '-',
      `${first}`,
      `${first}-`,
      `-${1}`,
      `${first}--1`,
      `${first}-01`,
      `${first}-00`,
      `${first}-+1`,
    ],
    ...[
      `${first}-1.0`,
      `${first}-1e3`,
      `${first}-0x1`,
      `${first}-1 `,
      ` ${first}-1`,
      `${first}-1\n`,
      `${first}-١`,
    ],
    ...[
      `${first}-9007199254740992`,
      `${first}-9223372036854775808`,
      `${first}-${'9'.repeat(40)}`,
      `${first}-NaN`,
    ],
    ...[
      `${first}0-1`,
      '00000000001-1',
      'ABCDEF012345-1',
      'g00000000001-1',
      `${first}_1`,
      `${first}-1-1`,
      'null',
    ],
    ...[`${first}-1\0`, `W/"${first}-1"`, `%30${first.slice(1)}-1`],
  ])('is not %j', (text) => {
    expect(parseRevision(text)).toEqual({
      ok: false,
      why: 'a revision is a string that an earlier answer gave',
    });
  });

  it('goes up to the largest exact number', () => {
    expect(parseRevision(`${first}-9007199254740991`)).toMatchObject({
      value: { value: Number.MAX_SAFE_INTEGER },
    });
    expect(parseRevision(`${first}-0`)).toMatchObject({ value: { value: 0 } });
  });
});

describe('where a revision lies', () => {
  const epochs = [
    { id: first, beganAt: 0 },
    { id: second, beganAt: 10 },
    { id: 'aaaaaaaaaaaa', beganAt: 10 },
    { id: 'bbbbbbbbbbbb', beganAt: 25 },
  ];
  const head = { epoch: 'bbbbbbbbbbbb', value: 30 };

  it.each([
    [first, 0, 'reached'],
    [first, 10, 'reached'],
    [first, 11, 'lost'],
    [first, 30, 'lost'],
    [second, 10, 'reached'],
    [second, 11, 'lost'],
    ['aaaaaaaaaaaa', 25, 'reached'],
    ['aaaaaaaaaaaa', 26, 'lost'],
    ['bbbbbbbbbbbb', 30, 'reached'],
    ['bbbbbbbbbbbb', 31, 'lost'],
    ['bbbbbbbbbbbb', Number.MAX_SAFE_INTEGER, 'lost'],
    ['cccccccccccc', 0, 'foreign'],
    ['cccccccccccc', 30, 'foreign'],
  ])('epoch %s, revision %d: %s', (epoch, value, place) => {
    expect(placeRevision({ epoch, value }, head, epochs)).toBe(place);
  });

  it('is nowhere in a database without a history', () => {
    expect(placeRevision({ epoch: first, value: 0 }, head, [])).toBe('foreign');
  });

  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'write' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'backUp' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const), which: fc.nat() }) },
  );

  test.prop([fc.array(step, { maxLength: 30, size: 'max' })], { numRuns: 2_000 })(
    'is told truly after any writes, backups and restores',
    (steps) => {
      const { present, given } = live(steps);
      const head = present.history.at(-1) ?? { epoch: '', value: -1 };
      for (const token of given) {
        const isOfHistory = present.history.some((each) => formatRevision(each) === formatRevision(token));
        const isOfKnownEpoch = present.epochs.some(({ id }) => id === token.epoch);
        const lost = isOfKnownEpoch ? 'lost' : 'foreign';
        expect(placeRevision(token, head, present.epochs)).toBe(isOfHistory ? 'reached' : lost);
      }
    },
  );
});

interface Database {
  readonly epochs: readonly Epoch[];
  /** Every revision that led to the present state, the present one last. */
  readonly history: readonly Revision[];
}

type Step = { kind: 'write' } | { kind: 'backUp' } | { kind: 'restore'; which: number };

/** A database that lives through the steps, and every revision it ever gave to somebody. */
function live(steps: readonly Step[]): { present: Database; given: Revision[] } {
  let epochCount = 1;
  const start = { epoch: epochId(epochCount), value: 0 };
  let present: Database = { epochs: [{ id: start.epoch, beganAt: 0 }], history: [start] };
  const backups = [present];
  const given = [start];
  for (const step of steps) {
    if (step.kind === 'backUp') backups.push(present);
    const restored = step.kind === 'restore' ? backups[step.which % backups.length] : undefined;
    const { epochs, history } = restored ?? present;
    const { epoch, value } = history.at(-1) ?? start;
    if (restored !== undefined) {
      epochCount += 1;
      const begun = { id: epochId(epochCount), beganAt: value };
      const token = { epoch: begun.id, value };
      present = { epochs: [...epochs, begun], history: [...history, token] };
      given.push(token);
    }
    if (step.kind === 'write') {
      const token = { epoch, value: value + 1 };
      present = { epochs, history: [...history, token] };
      given.push(token);
    }
  }
  return { present, given };
}

function epochId(number: number): string {
  return number.toString(16).padStart(12, '0');
}
