import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApiKey } from '../../src/domain/api-keys.ts';
import type { RolecallError } from '../../src/domain/errors.ts';
import { formatRevision, parseRevision } from '../../src/domain/revisions.ts';
import { openCursors } from '../../src/storage/pagination.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { expectProblem, goodQueries, operations } from '../support/contract.ts';
import { requestOf } from '../support/hostile/requests.ts';
import { expectSound } from '../support/hostile/verdict.ts';
import { long, summarize } from '../support/long-run.ts';
import { testJournalKey } from '../support/runtime.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** How often a token is changed and sent, and how often it is changed and read without being sent. */
const runs = long ? { sent: 20_000, read: 1_000_000 } : { sent: 400, read: 20_000 };
const counts = { sent: 0, read: 0 };

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
  for (const id of ['subject', 'one', 'two']) {
    await service.as().post('/users').send({ id }).expect(201);
    await service.as().put(`/users/${id}/roles/loader`).expect(201);
    await service.as().post('/keys').send({ user: id, name: id }).expect(201);
  }
});
afterAll(async () => {
  summarize('hostile tokens and cursors (C-17)', { ...counts, 'server errors': 0 });
  await service.close();
});

type Sealing = typeof import('../../src/storage/pagination.ts');

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const character = fc.constantFrom(...alphabet, '=', '+', '/', ' ', '.', '%', '\0', '\n', 'é', '\ud800');

/** A token with a few characters put in, changed or taken out, cut off, doubled, or turned round. */
function changed(token: string): fc.Arbitrary<string> {
  const edit = fc.tuple(fc.nat({ max: token.length }), fc.constantFrom('put', 'set', 'cut'), character);
  const edited = fc.array(edit, { minLength: 1, maxLength: 3 }).map((edits) => {
    const characters = [...token];
    for (const [at, kind, put] of edits)
      characters.splice(at, kind === 'put' ? 0 : 1, ...(kind === 'cut' ? [] : [put]));
    return characters.join('');
  });
  const cut = fc.nat({ max: token.length - 1 }).map((end) => token.slice(0, end));
  const whole = fc.constantFrom(
    `${token}${token}`,
    [...token].reverse().join(''),
    `${token}==`,
    `${token}\n`,
    token.toUpperCase(),
  );
  const foreign = fc.string({ unit: character, maxLength: 120 });
  return fc.oneof({ weight: 6, arbitrary: edited }, cut, whole, foreign).filter((text) => text !== token);
}

const written = (text: string) => encodeURIComponent(text.toWellFormed());

describe('a cursor', () => {
  const lists = operations.filter(({ parameters }) => parameters?.some(({ name }) => name === 'after'));
  const addressOf = (operation: (typeof operations)[number], more: string) => {
    const query = Object.entries(goodQueries[operation.operationId] ?? {}).map(
      ([name, value]) => [name, `${name}=${value}`] as const,
    );
    return requestOf(operation, { query: [...query, ['', more]] }).target;
  };
  /** One that the list gave out; where it has less than two rows, one that was made for another. */
  const cursorOf = async (operation: (typeof operations)[number]): Promise<string> =>
    (await service.as().get(addressOf(operation, 'limit=1'))).body.nextCursor ??
    openCursors(testJournalKey).cursorAt('another list', 'one');

  test.for(lists)(
    'of $path that was changed is none, and shows nothing (C-17)',
    { timeout: 600_000 },
    async (operation) => {
      const cursor = await cursorOf(operation);
      await fc.assert(
        fc.asyncProperty(changed(cursor), async (after) => {
          counts.sent += 1;
          const answer = await service.as().get(addressOf(operation, `limit=1&after=${written(after)}`));
          expect(answer.status, after).toBe(400);
          expectProblem(answer);
        }),
        { numRuns: Math.ceil(runs.sent / lists.length) },
      );
    },
  );

  test('fits no other list', async () => {
    for (const from of lists) {
      const cursor = await cursorOf(from);
      for (const to of lists)
        if (to !== from)
          expect((await service.as().get(addressOf(to, `after=${cursor}`))).body.code).toBe('invalid_cursor');
    }
  });

  /** How a build takes a cursor that it did not make so: for another list, with another key, or changed. */
  function forged(build: Pick<Sealing, 'openCursors'>, numRuns: number): string | undefined {
    const cursors = build.openCursors(testJournalKey);
    const cursor = cursors.cursorAt('users', 'one');
    const isTaken = (list: string, after: string, secret = testJournalKey) => {
      try {
        build.openCursors(secret).positionOf(list, { limit: 1, after });
        return true;
      } catch (error) {
        if ((error as RolecallError).code === 'invalid_cursor') return false;
        throw error;
      }
    };
    if (!isTaken('users', cursor)) return 'not at all';
    if (isTaken('users', cursor, `${testJournalKey}x`)) return 'of another key';
    if (isTaken('roles', cursor)) return 'of another list';
    const { failed } = fc.check(
      fc.property(changed(cursor), (after) => {
        counts.read += 1;
        return !isTaken('users', after);
      }),
      { numRuns },
    );
    return failed ? 'that was changed' : undefined;
  }

  test('is sealed: none is made without the key, and the key has no default', { timeout: 600_000 }, () => {
    expect(forged({ openCursors }, runs.read / 2)).toBe(undefined);
  });

  const file = 'storage/pagination.ts';
  const forgeries: Readonly<Record<string, readonly Omit<Breakage, 'file'>[]>> = {
    'of another key': [{ replace: "hkdfSync('sha256', secret,", by: "hkdfSync('sha256', 'the default'," }],
    'of another list': [
      { replace: '.setAAD(Buffer.from(list));\n    const hidden', by: ';\n    const hidden' },
      { replace: 'cipher.setAAD(Buffer.from(list)).setAuthTag(tag)', by: 'cipher.setAuthTag(tag)' },
    ],
    'that was changed': [
      { replace: "if (bytes.toString('base64url') !== after) throw invalidCursor();", by: '' },
    ],
  };
  test.for(Object.entries(forgeries))(
    '%s is found to be taken by a build (C-17)',
    async ([taken, breakages]) => {
      await withBrokenBuild(
        breakages.map((each) => ({ file, ...each })),
        async (load) => expect(forged(await load<Sealing>(file), 2_000)).toBe(taken),
      );
    },
  );

  test('that nobody sealed is found to be taken by a build (C-17)', async () => {
    const open = "+ cipher.final('utf8')";
    await withBrokenBuild({ file, replace: open, by: '' }, async (load) =>
      expect(forged(await load<Sealing>(file), 2_000)).toBe('of another key'),
    );
  });
});

describe('a revision', () => {
  test('that was changed is refused, or is one that was', { timeout: 600_000 }, async () => {
    const { revision } = (await service.as().get('/me/permissions').expect(200)).body;
    const newest = parseRevision(revision);
    if (!newest.ok) throw new Error(newest.why);
    await fc.assert(
      fc.asyncProperty(changed(revision), async (atLeast) => {
        counts.sent += 1;
        const answer = await service.as().get(`/me/permissions?atLeast=${written(atLeast)}`);
        expectSound(answer);
        const parsed = parseRevision(atLeast);
        const isOurs = parsed.ok && parsed.value.epoch === newest.value.epoch;
        const due = !isOurs ? 400 : parsed.value.value <= newest.value.value ? 200 : 409;
        expect(answer.status, atLeast).toBe(due);
      }),
      { numRuns: runs.sent },
    );
  });

  test('has one spelling', { timeout: 600_000 }, () => {
    const revision = { epoch: '0f3a9c51d2e7', value: 42 };
    fc.assert(
      fc.property(changed(formatRevision(revision)), (text) => {
        counts.read += 1;
        const parsed = parseRevision(text);
        if (parsed.ok) expect(formatRevision(parsed.value)).toBe(text);
      }),
      { numRuns: runs.read / 4 },
    );
  });

  test.for([
    '-1',
    '9223372036854775807',
    '9223372036854775808',
    '9007199254740991',
    '9007199254740992',
    '1e3',
    '0x10',
    '٣',
    '01',
  ])('that says %s is none of ours, at once', async (value) => {
    const { revision } = (await service.as().get('/me/permissions').expect(200)).body;
    const answer = await service
      .as()
      .get('/me/permissions')
      .query({ atLeast: `${revision.split('-')[0]}-${value}` });
    expect(answer.status).toBe(value === '9007199254740991' ? 409 : 400);
  });
});

describe('a key', () => {
  test('that was changed is nobody’s', { timeout: 600_000 }, async () => {
    const sendable = changed(service.adminKey)
      // Space around a header's value is no part of it.
      .filter((key) => /^[!-~]+( [!-~]+)*$/.test(key));
    await fc.assert(
      fc.asyncProperty(sendable, async (key) => {
        counts.sent += 1;
        const answer = await service.app.inject({
          url: '/me/permissions',
          headers: { authorization: `Bearer ${key}` },
        });
        expect(answer.statusCode, key).toBe(401);
      }),
      { numRuns: runs.sent },
    );
  });

  test('with a typing error is found out before anybody is asked', { timeout: 600_000 }, () => {
    const checksums = { wrong: 0, right: 0 };
    fc.assert(
      fc.property(changed(service.adminKey), (key) => {
        counts.read += 1;
        checksums[parseApiKey(key) === undefined ? 'wrong' : 'right'] += 1;
      }),
      { numRuns: runs.read / 4 },
    );
    expect(checksums.right).toBe(0);
  });
});
