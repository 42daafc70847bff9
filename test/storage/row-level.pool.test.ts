import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { long, summarize } from '../support/long-run.ts';
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import { createTenant, type Tenant } from '../support/tenant.ts';

const few = 1_000;
const requests = long ? 100_000 : few;
const callers = 50;
const rowsOfEach = 3;
const poolSize = 3;

let tenant: Tenant;
let reader: string;
beforeAll(async () => {
  tenant = await createTenant();
  await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
  reader = await tenant.login('reader', 'in role rolecall_reader');
  await tenant.sql.unsafe(`
    insert into rolecall.users (id) select 'user ' || n from generate_series(1, ${callers}) as n;
    insert into rolecall.permissions (resource, action) values ('documents', 'view_document');
    insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope)
      select u.pk, p.pk, 'allow', 'of/' || replace(u.id, ' ', '-') from rolecall.users as u, rolecall.permissions as p;
    create table public.documents (owner text, scope text);
    insert into public.documents select 'user ' || n, 'of/user-' || n || '/' || m
      from generate_series(1, ${callers}) as n, generate_series(1, ${rowsOfEach}) as m;
    insert into public.documents values ('nobody', null);
    alter table public.documents enable row level security;
    alter table public.documents force row level security;
    create policy readers on public.documents
      using (rolecall.covers((select rolecall.scopes_of('documents_view_document')), scope));
    grant select, insert, update, delete on public.documents to rolecall_reader`);
});
afterAll(() => tenant.drop());

const owners = (sql: postgres.Sql | postgres.TransactionSql) =>
  sql<{ owner: string }[]>`select owner from public.documents`;

/** How a request that goes wrong does so, with the setting made and rows read. */
const faults: readonly ((sql: postgres.TransactionSql) => Promise<unknown>)[] = [
  () => Promise.reject(new Error('the program failed')),
  (sql) => sql`select 1 / 0`,
  (sql) => sql`insert into public.documents values ('user 1', 'of/nobody')`,
  (sql) => sql`select set_config('statement_timeout', '1ms', true)`.then(() => sql`select pg_sleep(1)`),
];

interface Seen {
  requests: number;
  failed: number;
  /** Rows of somebody else. */
  foreign: number;
  /** Requests that did not see all of their own rows. */
  lacking: number;
}

/** Interleaved requests of all callers through few connections; `isLocal` says whether what is set ends with its transaction. */
async function ask(url: string, isLocal: boolean, requests: number): Promise<Seen> {
  const sql = postgres(url, { max: poolSize, fetch_types: false, onnotice: () => {}, backoff: () => 0 });
  const seen: Seen = { requests: 0, failed: 0, foreign: 0, lacking: 0 };

  async function check(rows: readonly { owner: string }[], who: string | null): Promise<void> {
    seen.foreign += rows.filter(({ owner }) => owner !== who).length;
    if (rows.length !== (who === null ? 0 : rowsOfEach)) seen.lacking += 1;
  }

  async function request(number: number): Promise<void> {
    // Every tenth comes from nobody: whatever a connection still knows would show.
    if (number % 10 === 0) return check(await owners(sql), null);
    const who = `user ${1 + ((number * 7) % callers)}`;
    const fails = number % 20 === 7;
    await sql
      .begin(async (transaction) => {
        await transaction`select set_config('rolecall.user_id', ${who}, ${isLocal})`;
        await check(await owners(transaction), who);
        // For somebody else in between, and taken back.
        if (number % 20 === 3)
          await transaction
            .savepoint(async (inner) => {
              await inner`select set_config('rolecall.user_id', ${`user ${1 + (number % callers)}`}, ${isLocal})`;
              throw new Error('taken back');
            })
            .catch(() => {});
        if (fails) await faults[((number / 20) % faults.length) | 0]?.(transaction);
        await check(await owners(transaction), who);
      })
      .catch((error: unknown) => {
        if (!fails) throw error;
        seen.failed += 1;
      });
  }

  let next = 0;
  const caller = async () => {
    while (next < requests) {
      next += 1;
      seen.requests += 1;
      await request(next);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  await sql.end({ timeout: 1 });
  return seen;
}

const ways: readonly (readonly [
  way: string,
  reach: () => Promise<{ url: string; stop(): Promise<void> }>,
])[] = [
  ['directly', async () => ({ url: reader, stop: async () => {} })],
  ...(hasPgbouncer
    ? [
        [
          "through Debian's pgbouncer in transaction mode",
          () => startPgbouncer(reader, { connections: poolSize }),
        ] as const,
      ]
    : []),
];

describe.each(ways)('of fifty callers through three connections, %s', (way, reach) => {
  test('none ever sees a row of another, nor misses one of their own, whatever fails meanwhile (D-07)', async () => {
    const { url, stop } = await reach();
    const seen = await ask(url, true, requests).finally(stop);
    summarize(`D-07, pool of ${poolSize}, ${way}`, { ...seen });
    expect(seen).toMatchObject({ requests, foreign: 0, lacking: 0 });
    expect(seen.failed).toBe(Math.ceil((requests - 6) / 20));
  }, 3_600_000);

  test('some do, if what is set outlives the transaction', async () => {
    const { url, stop } = await reach();
    const seen = await ask(url, false, few).finally(stop);
    expect(seen.foreign).toBeGreaterThan(0);
  }, 3_600_000);
});

test.skipIf(hasPgbouncer)("through Debian's pgbouncer (not installed)", () => {});
