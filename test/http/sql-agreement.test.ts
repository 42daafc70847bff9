import fc from 'fast-check';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestService, type TestService } from '../support/service.ts';
import { questionsAbout, slugIn, storable, store, userIn } from '../support/stored-worlds.ts';
import { instants, worlds } from '../support/worlds.ts';

const long = process.env['TEST_LONG'] !== undefined;
const perRequest = 1_000;
const requests = long ? 100 : 5;

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

test(`${requests * perRequest} questions about one random graph are answered alike over HTTP and in SQL (1.12)`, async () => {
  const aboutOneWorld = 256;
  const drawn = fc
    .sample(
      fc.tuple(worlds, fc.constantFrom(...instants)),
      Math.ceil((requests * perRequest) / aboutOneWorld),
    )
    .map(([world, at], number) => ({ number, at, world: storable(world) }));
  await sql.begin((transaction) => store(transaction, drawn));
  const questions = drawn
    .flatMap((stored) => questionsAbout('permissions', stored))
    .map(({ stored, user, what, scope }) => ({
      user: userIn(stored, user),
      permission: slugIn(stored, what),
      scope,
    }));
  let allowed = 0;
  for (let asked = 0; asked < requests * perRequest; asked += perRequest) {
    const checks = questions.slice(asked, asked + perRequest);
    const { status, body } = await service.as().post('/authorize/batch').send({ checks });
    expect(status).toBe(200);
    const rows = await sql<{ allowed: boolean }[]>`
      select rolecall.has_permission(q ->> 'user', q ->> 'permission', q ->> 'scope') as allowed
      from jsonb_array_elements(${JSON.stringify(checks)}::text::jsonb) with ordinality as a (q, place) order by place`;
    const answers = (body as { results: { allowed: boolean }[] }).results.map((each) => each.allowed);
    expect(rows.map((row) => row.allowed)).toEqual(answers);
    allowed += answers.filter(Boolean).length;
  }
  expect(allowed).toBeGreaterThan(requests);
}, 900_000);
