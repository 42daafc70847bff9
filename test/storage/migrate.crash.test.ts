import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { splitStatements } from '../../src/storage/migrations/statements.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../src/storage/migrations/verify.ts';
import { startChaosProxy } from '../support/chaos-proxy.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testJournalKey } from '../support/runtime.ts';
import { furtherSteps, later, liveCatalog, openWorkshop, type Workshop } from '../support/steps.ts';

const long = process.env['TEST_LONG'] !== undefined;

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop(furtherSteps);
  await workshop.describe();
});
afterAll(() => workshop.remove());

async function withSql<T>({ url }: TestDatabase, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return work(sql).finally(() => sql.end());
}

/** Cuts the connection after the k-th statement that the server has carried out in `run`; false if there are fewer. */
async function cutAfter(
  k: number,
  database: TestDatabase,
  run: (url: string) => Promise<unknown>,
): Promise<boolean> {
  const proxy = await startChaosProxy(database.url);
  let cut = false;
  proxy.cutAfter('C', k, () => {
    cut = true;
  });
  // One that lost its connection before it did anything may simply make another.
  await run(proxy.url).catch((error: { code?: string }) => expect(error.code).toBe('unavailable'));
  await proxy.close();
  await withSql(database, async (sql) => {
    // The server learns of it when it next writes; what it does until then is undone.
    const left = () =>
      sql`select 1 from pg_stat_activity where datname = current_database() and application_name = 'rolecall migrate'`;
    while ((await left()).length > 0) await sleep(2);
  });
  return cut;
}

describe('a connection that is cut after every statement of every step (F-16)', () => {
  test('going up leaves the step done or not at all, and the next run ends as a clean one does', async () => {
    const steps = await workshop.steps();
    const pairs = new Set<string>();
    for (const [index, step] of steps.entries()) {
      const upTo = steps.slice(0, index + 1);
      // Beginning, locking and reading the ledger come before the statements, the ledger row and COMMIT after them.
      for (let k = 1; ; k += 1) {
        const isOurs = step.position <= Number(later(0));
        const database = await (isOurs ? createEmptyDatabase() : createTestDatabase());
        const options = { url: database.url, steps: upTo, journalKey: testJournalKey };
        if (index > 0) await migrateUp({ ...options, steps: upTo.slice(0, -1) });
        const cut = await cutAfter(k, database, (url) => migrateUp({ ...options, url }));
        if (cut) {
          const [ledger, catalog] = await withSql(database, async (sql) => {
            const rows = (await exists(sql))
              ? [...(await sql`select name from rolecall.migrations order by 1`)]
              : [];
            return [rows.map(({ name }) => name as string), await liveCatalog(sql)] as const;
          });
          const done = ledger.length > index;
          const isOutside = step.up.startsWith('-- rolecall: no transaction');
          if (!isOutside) expect(catalog).toEqual((done ? step : steps[index - 1])?.catalog ?? []);
          await migrateUp(options);
          expect(isWhole(await verifyDatabase(options))).toBe(true);
          pairs.add(`${step.name} ${k}`);
        }
        await database.drop();
        if (!cut) break;
      }
      const statements = splitStatements(step.up).length;
      expect([...pairs].filter((pair) => pair.startsWith(step.name)).length).toBeGreaterThanOrEqual(
        statements,
      );
    }
  }, 900_000);

  test('going down leaves the step there or gone, its rows there or kept', async () => {
    const steps = (await workshop.steps()).slice(0, long ? undefined : Number(later(2)) + 1);
    const head = steps.at(-1);
    const stride = long ? 1 : 7;
    for (let k = 1; ; k += stride) {
      const database = await createTestDatabase();
      const options = { url: database.url, steps, journalKey: testJournalKey };
      await migrateUp(options);
      await withSql(database, (sql) => sql`insert into rolecall.teams (name) values ('one'), ('two')`);
      const teams = () =>
        withSql(database, async (sql) => [...(await sql`select * from rolecall.teams order by pk`)]);
      const before = await teams();
      const cut = await cutAfter(k, database, (url) => migrateDown({ ...options, url }, 1));
      await migrateUp(options);
      expect(await teams()).toEqual(before);
      expect(await withSql(database, liveCatalog)).toEqual(head?.catalog);
      expect(isWhole(await verifyDatabase(options))).toBe(true);
      await database.drop();
      if (!cut) break;
    }
  }, 900_000);

  async function exists(sql: postgres.Sql): Promise<boolean> {
    const [row] = await sql`select to_regclass('rolecall.migrations') is not null as found`;
    return row?.['found'] as boolean;
  }
});
