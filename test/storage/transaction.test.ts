import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RolecallError } from '../../src/domain/errors.ts';
import type { UserId } from '../../src/domain/ids.ts';
import {
  digestPersonal,
  type JournalEntry,
  type SealedContent,
  sealEntry,
} from '../../src/domain/journal-entries.ts';
import { seesEverything } from '../../src/domain/sight.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { deadlineIn } from '../../src/storage/deadline.ts';
import type { IdempotencyKey } from '../../src/storage/idempotency.ts';
import {
  openTransactions,
  type Transactions,
  type WriteContext,
  type WriteHandle,
} from '../../src/storage/transaction.ts';
import { findUser, insertUser } from '../../src/storage/users.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';

let database: TestDatabase;
let pool: Database;
let transactions: Transactions;
let admin: postgres.Sql;

beforeEach(async () => {
  database = await createTestDatabase();
  admin = postgres(database.url, { max: 3, onnotice: () => {} });
  pool = openDatabase({
    url: database.url,
    poolSize: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
  });
  transactions = openTransactions(pool, testJournalKey);
});
afterEach(async () => {
  await pool.close();
  await admin.end();
  await database.drop();
});

function context(more: Partial<WriteContext> = {}): WriteContext {
  return {
    actor: { kind: 'operator' },
    requestId: 'request-1',
    deadline: deadlineIn(20_000),
    dryRun: false,
    sight: seesEverything,
    idempotency: null,
    ...more,
  };
}

/** Makes a user and notes it. */
async function make(handle: WriteHandle, id: string): Promise<string> {
  const row = await insertUser(handle, { id: id as UserId, email: null, active: true });
  handle.record({ kind: 'user_created', userPk: row.pk, after: { active: true }, personal: { id } });
  return id;
}

/** Everything that a write may leave behind. */
async function traces(): Promise<unknown> {
  const [row] = await admin`
    select (select row_to_json(r) from rolecall.revision r) as revision,
      (select count(*)::int from rolecall.journal) as journal,
      (select count(*)::int from rolecall.personal) as personal,
      (select count(*)::int from rolecall.idempotency) as answers,
      (select array_agg(id order by id) from rolecall.users) as users`;
  return row;
}

async function revisionValue(): Promise<number> {
  const [row] = await admin<[{ value: string }]>`select value from rolecall.revision`;
  return Number(row.value);
}

const numberOf = (revision: string) => Number(revision.split('-')[1]);

describe('a write', () => {
  test('takes one revision for all that it records, numbered within it', async () => {
    const before = await revisionValue();
    const written = await transactions.write(context(), async (handle) => {
      for (const id of ['ada', 'bea', 'cyd']) await make(handle, id);
      return 'three';
    });
    expect(written).toMatchObject({ value: 'three', changed: true });
    expect(numberOf(written.revision)).toBe(before + 1);
    expect(await revisionValue()).toBe(before + 1);
    const rows =
      await admin`select number, kind, request_id from rolecall.journal where revision = ${before + 1}
      order by number`;
    expect([...rows]).toEqual(
      [1, 2, 3].map((number) => ({ number, kind: 'user_created', request_id: 'request-1' })),
    );
  });

  test('that records nothing takes no revision and answers with the present one', async () => {
    const before = await traces();
    const written = await transactions.write(context(), async (handle) => {
      await findUser(handle, 'nobody' as UserId);
      return 'nothing';
    });
    expect(written).toMatchObject({ value: 'nothing', changed: false });
    expect(numberOf(written.revision)).toBe(await revisionValue());
    expect(await traces()).toEqual(before);
  });

  test('moves the catalogue revision only when it changes what roles mean', async () => {
    const catalogue = async () => {
      const [row] = await admin<
        [{ value: string; catalogue: string }]
      >`select value, catalogue_value as catalogue from rolecall.revision`;
      return row;
    };
    const record = (kind: JournalEntry['kind']) =>
      transactions.write(context(), async (handle) => handle.record({ kind }));
    const before = await catalogue();
    await record('grant_set');
    expect((await catalogue()).catalogue).toBe(before.catalogue);
    await record('edge_set');
    const after = await catalogue();
    expect(after.catalogue).toBe(after.value);
    await record('user_updated');
    expect((await catalogue()).catalogue).toBe(after.catalogue);
  });

  test('is later than the one before it, even when the clock of the server went back', async () => {
    await admin`update rolecall.revision set time = now() + interval '1 hour'`;
    const [before] = await admin<[{ time: string }]>`select time::text as time from rolecall.revision`;
    const { revision } = await transactions.write(context(), (handle) => make(handle, 'ada'));
    const rows =
      await admin`select time - ${before.time}::text::timestamptz = interval '1 microsecond' as next,
      time = (select time from rolecall.revision) as same from rolecall.journal where revision = ${numberOf(revision)}`;
    expect([...rows]).toEqual([{ next: true, same: true }]);
  });

  test.each([
    ['refuses by itself', () => Promise.reject(new RolecallError('role_in_use', 'no')), 'role_in_use'],
    ['breaks a constraint', (handle: WriteHandle) => make(handle, 'ada'), 'user_exists'],
    ['fails in the server', (handle: WriteHandle) => handle.sql`select 1 / 0`, 'internal'],
    ['fails in the code', () => Promise.reject(new TypeError('oops')), 'internal'],
  ])('that %s after it changed something leaves nothing', async (_, fail, code) => {
    const before = await traces();
    const failing = transactions.write(context({ idempotency: keyOf('k') }), async (handle) => {
      await make(handle, 'ada');
      await fail(handle);
    });
    await expect(failing).rejects.toMatchObject({ code });
    expect(await traces()).toEqual(before);
  });

  test('that is only tried out keeps nothing, says what it would change, and stays at the present revision', async () => {
    const before = await traces();
    const dry = context({ dryRun: true, idempotency: keyOf('k') });
    const written = await transactions.write(dry, (handle) => make(handle, 'ada'));
    expect(written).toMatchObject({ value: 'ada', changed: true });
    expect(numberOf(written.revision)).toBe(await revisionValue());
    expect(await traces()).toEqual(before);
    const nothing = await transactions.write(dry, async () => 'nothing');
    const impact = { users: 0, gaining: 0, losing: 0, changes: [], usersLeftOut: 0 };
    expect(nothing).toEqual({ value: 'nothing', changed: false, revision: written.revision, impact });
  });

  test('that is only tried out fails as it would in earnest', async () => {
    await transactions.write(context(), (handle) => make(handle, 'ada'));
    const dry = transactions.write(context({ dryRun: true }), (handle) => make(handle, 'ada'));
    await expect(dry).rejects.toMatchObject({ code: 'user_exists' });
  });

  test('that is only tried out leaves its time limit to nobody who writes after it', async () => {
    const session = async (ms: number) => {
      const work = async ({ sql }: WriteHandle) => {
        const [row] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`;
        await sleep(ms);
        return row.pid;
      };
      return (await transactions.write(context(), work)).value;
    };
    const before = await session(0);
    const dry = context({ dryRun: true, deadline: deadlineIn(1_000) });
    await transactions.write(dry, (handle) => make(handle, 'ada'));
    expect(await session(1_500)).toBe(before);
  });

  test('wakes listeners after it is committed, with a text that does not grow with it (F-21)', async () => {
    const listener = postgres(database.url, { max: 1 });
    const heard: { text: string; seen: number }[] = [];
    let looked: Promise<unknown> = Promise.resolve();
    await listener.listen('rolecall_revision', (text) => {
      looked = looked.then(async () => heard.push({ text, seen: await revisionValue() }));
    });
    const small = await transactions.write(context(), (handle) => make(handle, 'ada'));
    const big = await transactions.write(context(), async (handle) => {
      for (let n = 0; n < 2_000; n += 1) handle.record({ kind: 'grant_removed', userPk: n, before: { n } });
    });
    await transactions.write(context({ dryRun: true }), (handle) => make(handle, 'dry'));
    await transactions.write(context(), (handle) => make(handle, 'ada')).catch(() => {});
    const last = await transactions.write(context(), (handle) => make(handle, 'bea'));
    while (heard.length < 3) await sleep(5);
    await looked;
    await listener.end();
    expect(heard.map(({ text }) => text)).toEqual([small.revision, big.revision, last.revision]);
    for (const { text, seen } of heard) expect(seen).toBeGreaterThanOrEqual(numberOf(text));
    expect(big.revision.length).toBeLessThan(40);
  });
});

describe('the journal', () => {
  const nested = { z: [1, { b: null, a: 'ü"\\\u2028' }], '': 0.1, e: 1e21, tiny: 1e-7, minus: -0, yes: true };

  test('is a chain that anybody with the key can follow from the first row to the head', async () => {
    await writeSomething();
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => transactions.write(context(), (h) => make(h, `${n}`))),
    );
    expect(await firstFault(admin)).toBeNull();
  });

  test('seals what it says of people by digests, so that erasing the values breaks no link', async () => {
    await writeSomething();
    const rows = await admin<{ salt: Buffer; value: string; digest: string }[]>`
      select salt, value, digests->>field as digest from rolecall.personal join rolecall.journal using (revision, number)`;
    expect(rows.length).toBeGreaterThan(0);
    for (const { salt, value, digest } of rows) expect(digestPersonal(salt, value)).toBe(digest);
    expect(new Set(rows.map(({ salt }) => salt.toString('hex'))).size).toBe(rows.length);
    const [inJournal] =
      await admin`select count(*)::int as n from rolecall.journal j where j::text like '%Zoë%'`;
    expect(inJournal).toEqual({ n: 0 });
    await admin`delete from rolecall.personal`;
    expect(await firstFault(admin)).toBeNull();
  });

  test.each([
    'revision = revision + 1000',
    'number = number + 10',
    "time = time + interval '1 microsecond'",
    "kind = 'grant_removed'",
    "actor_kind = 'operator', actor_pk = null",
    'actor_pk = actor_pk + 1',
    'credential_pk = credential_pk + 1',
    'credential_pk = null',
    'through_pk = through_pk + 1',
    'through_pk = null',
    "request_id = request_id || 'x'",
    'request_id = null',
    'user_pk = user_pk + 1',
    'role_pk = role_pk + 1',
    'permission_pk = permission_pk + 1',
    "before = jsonb_set(before, '{z,1,b}', '0')",
    'before = null',
    'before = after, after = before',
    "after = jsonb_set(after, '{minus}', '1')",
    `digests = '{"reason":"00"}'`,
    'digests = digests || \'{"more":"00"}\'',
    'hmac = set_byte(hmac, 31, get_byte(hmac, 31) # 1)',
  ])('shows where somebody changed a row: %s (D-06)', async (change) => {
    const place = await writeSomething();
    await tampered(async (sql) => {
      await sql.unsafe(`alter table rolecall.personal drop constraint personal_journal_fkey`);
      await sql.unsafe(`update rolecall.journal set ${change} where revision = $1 and number = 1`, [place]);
      expect(await firstFault(sql)).toMatch(change.startsWith('revision') ? /./ : new RegExp(`^${place}/`));
    });
  });

  test.each([
    ['removed', (place: number) => `delete from rolecall.journal where revision = ${place} and number = 1`],
    [
      'removed from the end',
      () => `delete from rolecall.journal where revision = (select value from rolecall.revision)`,
    ],
    [
      'swapped',
      (place: number) => `update rolecall.journal j set kind = o.kind, before = o.before, after = o.after,
        user_pk = o.user_pk, role_pk = o.role_pk, permission_pk = o.permission_pk, digests = o.digests, hmac = o.hmac
        from rolecall.journal o where (j.revision, o.revision) = (${place}, ${place}) and j.number = 3 - o.number`,
    ],
  ])('shows that rows were %s (D-06)', async (_, statement) => {
    const place = await writeSomething();
    await tampered(async (sql) => {
      await sql.unsafe(`alter table rolecall.personal drop constraint personal_journal_fkey`);
      await sql.unsafe(statement(place));
      expect(await firstFault(sql)).not.toBeNull();
    });
  });

  /** Three revisions; resolves to the middle one, whose first row has something in every column. */
  async function writeSomething(): Promise<number> {
    await transactions.write(context(), (handle) => make(handle, 'Zoë'));
    const actor = { kind: 'user', userPk: 41, credentialPk: 42, throughPk: 43 } as const;
    const { revision } = await transactions.write(context({ actor }), async (handle) => {
      const about = { userPk: 1, rolePk: 2, permissionPk: 3, before: nested, after: { ...nested, minus: 2 } };
      handle.record({ kind: 'grant_set', ...about, personal: { reason: "Zoë's reason", id: '' } });
      handle.record({ kind: 'role_updated', rolePk: 2 });
    });
    await transactions.write(context({ requestId: null }), (handle) => make(handle, 'bea'));
    return numberOf(revision);
  }

  /** Where the chain breaks, as `revision/number` or `head`; null when it is whole. Computed from the rows alone. */
  async function firstFault(sql: postgres.ISql): Promise<string | null> {
    const rows = await sql<(SealedContent & { readonly hmac: Buffer })[]>`
      select revision::int, number, kind, actor_kind as "actorKind", actor_pk::int as "actorPk",
        credential_pk::int as "credentialPk", through_pk::int as "throughPk", request_id as "requestId", user_pk::int as "userPk",
        role_pk::int as "rolePk", permission_pk::int as "permissionPk", before, after, digests, hmac,
        to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time
      from rolecall.journal order by journal.revision, number`;
    let previous: Buffer = Buffer.alloc(32);
    for (const { hmac, ...content } of rows) {
      if (!sealEntry(testJournalKey, previous, content).equals(hmac))
        return `${content.revision}/${content.number}`;
      previous = hmac;
    }
    const [head] = await sql<{ hmac: Buffer }[]>`select journal_head as hmac from rolecall.revision`;
    return head?.hmac.equals(previous) ? null : 'head';
  }

  async function tampered(work: (sql: postgres.TransactionSql) => Promise<void>): Promise<void> {
    const rolledBack = new Error('rolled back');
    const attempt = admin.begin(async (sql) => {
      await work(sql);
      throw rolledBack;
    });
    await expect(attempt).rejects.toBe(rolledBack);
  }
});

describe('a read', () => {
  test('sees one snapshot however many statements it takes', async () => {
    const seen = await transactions.read(deadlineIn(20_000), async (handle) => {
      const first = await findUser(handle, 'late' as UserId);
      await transactions.write(context(), (writer) => make(writer, 'late'));
      return [first, await findUser(handle, 'late' as UserId)];
    });
    expect(seen).toEqual([undefined, undefined]);
  });

  test('cannot write, whatever it tries', async () => {
    const before = await traces();
    const reading = transactions.read(
      deadlineIn(20_000),
      ({ sql }) => sql`insert into rolecall.users (id) values ('x')`,
    );
    await expect(reading).rejects.toBeInstanceOf(RolecallError);
    expect(await traces()).toEqual(before);
  });
});

describe('an Idempotency-Key', () => {
  test('gets the same answer again and nothing is done twice (D-08)', async () => {
    const again = () => context({ idempotency: keyOf('k') });
    const first = await transactions.write(again(), (handle) => make(handle, 'ada'));
    await transactions.write(context(), (handle) => make(handle, 'bea'));
    const before = await traces();
    const repeated = await transactions.write(again(), () => Promise.reject(new Error('done again')));
    expect(repeated).toEqual(first);
    expect(await traces()).toEqual(before);
  });

  test('remembers that nothing changed', async () => {
    const again = () => context({ idempotency: keyOf('k') });
    const first = await transactions.write(again(), async () => ({ none: null }));
    await transactions.write(context(), (handle) => make(handle, 'bea'));
    expect(await transactions.write(again(), async () => ({ none: null }))).toEqual(first);
  });

  test('with another request is refused, and that request is not carried out (D-08)', async () => {
    await transactions.write(context({ idempotency: keyOf('k') }), (handle) => make(handle, 'ada'));
    const before = await traces();
    const other = { ...keyOf('k'), fingerprint: Buffer.alloc(32, 2) };
    const reused = transactions.write(context({ idempotency: other }), (handle) => make(handle, 'bea'));
    await expect(reused).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    expect(await traces()).toEqual(before);
  });

  test('of another credential is another key', async () => {
    await transactions.write(context({ idempotency: keyOf('k') }), (handle) => make(handle, 'ada'));
    const other = context({ idempotency: { ...keyOf('k'), credential: 'key:2' } });
    expect(await transactions.write(other, (handle) => make(handle, 'bea'))).toMatchObject({ value: 'bea' });
  });

  test('keeps what may be remembered: the secret is in the first answer only, and never in the table', async () => {
    const again = () => context({ idempotency: keyOf('k') });
    const make = () =>
      transactions.write(
        again(),
        async (handle) => {
          handle.record({ kind: 'key_created' });
          return { id: 'key', secret: 'canary' as string | null };
        },
        (value) => ({ ...value, secret: null }),
      );
    const first = await make();
    expect(first.value.secret).toBe('canary');
    expect(await make()).toEqual({ ...first, value: { id: 'key', secret: null } });
    const [row] = await admin`select answer::text from rolecall.idempotency`;
    expect(row?.['answer']).not.toContain('canary');
  });

  test('of a write that failed is free for the next try', async () => {
    const again = () => context({ idempotency: keyOf('k') });
    const failing = transactions.write(again(), () => Promise.reject(new RolecallError('role_in_use', 'no')));
    await expect(failing).rejects.toMatchObject({ code: 'role_in_use' });
    expect(await transactions.write(again(), (handle) => make(handle, 'ada'))).toMatchObject({
      changed: true,
    });
  });

  test('is forgotten after a day, answer and all', async () => {
    const again = () => context({ idempotency: keyOf('k') });
    await transactions.write(again(), (handle) => make(handle, 'ada'));
    await admin`update rolecall.idempotency set created_at = now() - interval '24 hours 1 second'`;
    expect(await transactions.write(again(), (handle) => make(handle, 'bea'))).toMatchObject({
      value: 'bea',
    });
    const rows = await admin`select answer->>'value' as value from rolecall.idempotency`;
    expect([...rows]).toEqual([{ value: 'bea' }]);
  });
});

function keyOf(key: string): IdempotencyKey {
  return { credential: 'key:1', key, fingerprint: Buffer.alloc(32, 1) };
}
