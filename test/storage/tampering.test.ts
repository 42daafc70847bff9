import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatCheckpoint, parseCheckpoint } from '../../src/domain/checkpoints.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { verifyChain } from '../../src/storage/chain.ts';
import { faultAgainst, readCheckpoint } from '../../src/storage/checkpoints.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';

const count = long ? 10_000 : 300;

let database: TestDatabase;
let sql: postgres.Sql;
let checkpoint: Awaited<ReturnType<typeof readCheckpoint>>;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const runtime = await openTestRuntime(database.url);
  const call = () => operatorCall(20_000);
  for (let n = 0; n < 6; n += 1) {
    const id = `user ${n}` as UserId;
    await runtime.users.create(call(), { id, email: `${n}@x.y`, active: true });
    const terms = { startsAt: null, expiresAt: null, reason: `reason ${n}` };
    await runtime.grants.put(call(), id, 'loader' as RoleKey, 'north' as Scope, terms);
    const denied = { ...terms, effect: 'deny' as const };
    await runtime.exceptions.put(call(), id, 'orders_view_order' as PermissionSlug, '' as Scope, denied);
  }
  await runtime.users.erase(call(), 'user 3' as UserId);
  await runtime.close();
  checkpoint = await sql.begin((transaction) => readCheckpoint(transaction));
  // Whoever tampers may do anything.
  await sql`alter table rolecall.personal drop constraint personal_journal_fkey`;
}, 60_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

const undone = new Error('undone');

/** What the verifier says after a change that is undone again. */
async function afterTampering(
  tamper: (on: postgres.TransactionSql) => Promise<unknown>,
  withCheckpoint: boolean,
): Promise<string | null> {
  let found: string | null = null;
  await sql
    .begin(async (on) => {
      await tamper(on);
      const { broken } = await verifyChain(on, testJournalKey);
      found = broken ?? (withCheckpoint ? await faultAgainst(on, checkpoint) : null);
      throw undone;
    })
    .catch((error: unknown) => {
      if (error !== undone) throw error;
    });
  return found;
}

type Tampering = (on: postgres.TransactionSql, row: Place, random: () => number) => Promise<unknown>;
interface Place {
  readonly revision: number;
  readonly number: number;
}

const columns = {
  kind: `case when kind = 'grant_set' then 'grant_removed' else 'grant_set' end`,
  time: `time + interval '1 microsecond'`,
  actor_kind: `case when actor_kind = 'service' then 'operator' else 'service' end, actor_pk = null`,
  credential_pk: 'coalesce(credential_pk, 0) + 1',
  request_id: `coalesce(request_id, '') || 'x'`,
  user_pk: 'coalesce(user_pk, 0) + 1',
  role_pk: 'coalesce(role_pk, 0) + 1',
  permission_pk: 'coalesce(permission_pk, 0) + 1',
  before: `coalesce(before, '{}') || '{"x":1}'`,
  after: `coalesce(after, '{}') || '{"x":1}'`,
  digests: `digests || '{"x":"1"}'`,
};

/** Everything that can be done past the service without the key, each somewhere else every time. */
const tamperings: Readonly<Record<string, Tampering>> = {
  'one value of a row edited': (on, row, random) => {
    const [column, value] = Object.entries(columns)[Math.floor(random() * Object.keys(columns).length)] ?? [];
    return on.unsafe(`update rolecall.journal set ${column} = ${value} where ${at(row)}`);
  },
  'one byte of a seal edited': (on, row, random) => {
    const byte = Math.floor(random() * 32);
    const bits = 1 + Math.floor(random() * 255);
    return on.unsafe(
      `update rolecall.journal set hmac = set_byte(hmac, ${byte}, get_byte(hmac, ${byte}) # ${bits}) where ${at(row)}`,
    );
  },
  'one row deleted': (on, row) => on.unsafe(`delete from rolecall.journal where ${at(row)}`),
  'two rows swapped': (on, row, random) => {
    const other = 1 + Math.floor(random() * (row.revision - 1));
    return on.unsafe(`update rolecall.journal j set kind = o.kind, before = o.before, after = o.after, time = o.time,
      user_pk = o.user_pk, role_pk = o.role_pk, permission_pk = o.permission_pk, digests = o.digests, hmac = o.hmac
      from rolecall.journal o where j.number = 1 and o.number = 1
        and (j.revision, o.revision) in ((${row.revision}, ${other}), (${other}, ${row.revision}))`);
  },
  'a row put in between': (on, row) =>
    on.unsafe(`insert into rolecall.journal select revision, (select max(number) + 1 from rolecall.journal
        where revision = ${row.revision}), time, kind, actor_kind, actor_pk, credential_pk, request_id, user_pk, role_pk,
      permission_pk, before, after, digests, hmac from rolecall.journal where ${at(row)}`),
  'the end cut off': (on, row) => on.unsafe(`delete from rolecall.journal where revision >= ${row.revision}`),
  'the end cut off and the revision row set back': async (on, row) => {
    await on.unsafe(`delete from rolecall.journal where revision >= ${row.revision}`);
    await on.unsafe(`update rolecall.revision set (value, catalogue_value, time, journal_head) =
      (select revision, least(catalogue_value, revision), j.time, hmac from rolecall.journal j
        order by j.revision desc, number desc limit 1)`);
  },
  'everything from a row on sealed without the key': async (on, row) => {
    await on.unsafe(`update rolecall.journal set after = '{"x":1}' where ${at(row)}`);
    await on.unsafe(`update rolecall.journal set hmac = sha256(hmac) where revision >= ${row.revision}`);
    await on.unsafe(`update rolecall.revision set journal_head = (select hmac from rolecall.journal
      order by revision desc, number desc limit 1)`);
  },
  'a personal value edited': (on, _, random) =>
    on.unsafe(`update rolecall.personal set value = value || 'x' where ${anyPersonal(random)}`),
  'a personal value given another salt': (on, _, random) =>
    on.unsafe(`update rolecall.personal set salt = sha256(salt) where ${anyPersonal(random)}`),
  'a personal value given to somebody else': (on, _, random) =>
    on.unsafe(`update rolecall.personal set user_pk = coalesce(user_pk, 0) + 1 where ${anyPersonal(random)}`),
  'a personal value deleted without a word': (on, _, random) =>
    on.unsafe(`delete from rolecall.personal where ${anyPersonal(random)}`),
  'a personal value added': (on, row) =>
    on.unsafe(`insert into rolecall.personal values (${row.revision}, ${row.number}, 'x', null, '', 'x')`),
  'the revision row moved': (on, row) =>
    on.unsafe(`update rolecall.revision set value = value + ${row.revision}`),
};

const at = ({ revision, number }: Place) => `(revision, number) = (${revision}, ${number})`;
const anyPersonal = (random: () => number) => `(revision, number, field) = (select revision, number, field
  from rolecall.personal order by revision, number, field
  offset floor(${random()} * (select count(*) from rolecall.personal)) limit 1)`;

test(
  'every kind of tampering is found, wherever it happens (D-06)',
  async () => {
    const places = [
      ...(await sql<Place[]>`
    select revision::int, number from rolecall.journal where revision > 1 order by revision, number`),
    ];
    let seed = 20_270_131;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const kinds = Object.entries(tamperings);
    const unfound: string[] = [];
    for (let turn = 0; turn < count; turn += 1) {
      const [what, tamper] = kinds[turn % kinds.length] as (typeof kinds)[number];
      const row = places[Math.floor(random() * places.length)] as Place;
      const found = await afterTampering((on) => tamper(on, row, random), what.includes('set back'));
      if (found === null) unfound.push(`${what} at ${row.revision}.${row.number}`);
    }
    summarize('tampering', { tried: count, kinds: kinds.length, 'not found': unfound.length });
    expect(unfound).toEqual([]);
  },
  long ? 3_600_000 : 120_000,
);

test('without tampering nothing is found, and the first bad row is the one that is named', async () => {
  expect(await afterTampering(async () => {}, true)).toBeNull();
  const third = (on: postgres.TransactionSql) =>
    on.unsafe(`update rolecall.journal set kind = 'user_updated' where revision in (3, 5)`);
  expect(await afterTampering(third, false)).toMatch(/^journal row 3\.1 is not as it was sealed/);
});

describe('a checkpoint', () => {
  test('is read as it was written, and not if anything in it was altered or the key is another', () => {
    const text = formatCheckpoint(testJournalKey, checkpoint);
    expect(parseCheckpoint(testJournalKey, text)).toEqual({ ok: true, value: checkpoint });
    const altered = [
      text.replace(/"number": (\d+)/, '"number": 9$1'),
      text.replace(/"seal": "./, '"seal": "x'),
      text.replace(/"signature": "./, '"signature": "x'),
      text.replace('checkpoint', 'check'),
      '[]',
      'null',
      '',
    ];
    for (const other of altered) expect(parseCheckpoint(testJournalKey, other).ok, other).toBe(false);
    expect(parseCheckpoint(`${testJournalKey}x`, text).ok).toBe(false);
  });

  test('holds while the journal grows', async () => {
    const runtime = await openTestRuntime(database.url);
    await runtime.users.create(operatorCall(20_000), { id: 'later' as UserId, email: null, active: true });
    await runtime.close();
    expect(await afterTampering(async () => {}, true)).toBeNull();
  });
});
