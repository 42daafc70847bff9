import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operatorCall } from '../../src/services/call.ts';
import { verifyChain } from '../../src/storage/chain.ts';
import { testJournalKey } from '../support/runtime.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1, types: { bigint: postgres.BigInt } });
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

const purge = (dryRun = false) => service.runtime.personal.purge({ ...operatorCall(20_000), dryRun });

async function keepFor(days: number | null): Promise<void> {
  const at = '/settings/personal_retention_days';
  const { headers } = await service.as().get(at).expect(200);
  const sent = service.as().patch(at).set('if-match', String(headers['etag']));
  await sent.send({ value: days }).expect(200);
}

async function newUser(id: string): Promise<number> {
  const { body } = await service
    .as()
    .post('/users')
    .send({ id, email: `${id}@example.com` });
  return Number(body.revision.split('-')[1]);
}

/** Makes everything up to a revision so many days older than it is; with a negative number, as old as it was. */
const age = (through: number, days: number) =>
  sql`update rolecall.journal set time = time - make_interval(days => ${days}) where revision <= ${through}`;

const left = async () =>
  (await sql`select value from rolecall.personal where value like '%@example.com' order by 1`).map(
    ({ value }) => value,
  );
const purges = () => sql<{ revision: bigint; after: { through: number; values: number }; actor: string }[]>`
  select revision, after, actor_kind as actor from rolecall.journal where kind = 'personal_purged' order by revision`;

test('personal values are kept for good while no retention is set', async () => {
  const old = await newUser('old');
  await age(old, 4_000);
  expect(await purge()).toEqual({ retentionDays: null, values: 0 });
  expect(await left()).toEqual(['old@example.com']);
  await age(old, -4_000);
});

test('older ones are counted by a dry run, then erased, recorded and gone from nothing else; the chain is whole', async () => {
  const old = await newUser('older');
  await newUser('younger');
  await keepFor(30);
  await age(old, 31);
  const tried = await purge(true);
  expect(tried).toEqual({ retentionDays: 30, values: expect.any(Number) });
  expect(tried.values).toBeGreaterThanOrEqual(4);
  expect(await left()).toHaveLength(3);
  expect(await purges()).toEqual([]);

  expect(await purge()).toEqual(tried);
  expect(await left()).toEqual(['younger@example.com']);
  expect(await purges()).toMatchObject([
    { after: { through: old, values: tried.values }, actor: 'operator' },
  ]);
  await service.as().get('/users/older').expect(200);

  expect(await purge()).toEqual({ retentionDays: 30, values: 0 });
  expect(await purges()).toHaveLength(1);
  await age(old, -31);
  expect((await verifyChain(sql as never, testJournalKey)).broken).toBeNull();
});

test('somebody whose making was purged can be erased after they were deleted', async () => {
  const made = await newUser('long-gone');
  const identity = { issuer: 'https://idp', subject: 'long-gone-there' };
  await service.as().put('/users/long-gone/identities').send(identity).expect(200);
  await keepFor(30);
  await age(made, 31);
  await purge();
  await service.as().delete('/users/long-gone').expect(200);
  await service.as().post('/users/long-gone/erase').expect(200);
  expect(await sql`select from rolecall.personal where value like 'long-gone%'`).toHaveLength(0);
  await age(made, -31);
  expect((await verifyChain(sql as never, testJournalKey)).broken).toBeNull();
});

test('many are erased some at a time, so that other writes get their turn', async () => {
  const old = await newUser('crowd');
  await sql`
    insert into rolecall.personal (revision, number, field, salt, value)
    select ${old}, 1, 'field ' || i, '', 'x' from generate_series(1, 6000) i`;
  await age(old, 31);
  const before = (await purges()).length;
  const { values } = await purge();
  expect(values).toBeGreaterThanOrEqual(6_002);
  expect((await purges()).slice(before).map(({ after }) => after.values)).toEqual([5_000, values - 5_000]);
  await age(old, -31);
});
