import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { startTestService, type TestService } from '../support/service.ts';

let database: TestDatabase;
let service: TestService;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ database });
});
afterAll(async () => {
  await service.close();
  await database.drop();
});

test('new-epoch empties the copies of running services, and keeps tokens of what stands good', async () => {
  const ask = (atLeast?: string) =>
    service.as().post('/authorize').send({ permission: 'rolecall.check', atLeast });
  const before = (await ask().expect(200)).body.revision;

  const declared = await run(['admin', 'new-epoch', '--json'], environmentFor(database.url));
  expect(declared).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(declared.stdout)).toEqual({ lostAfter: before });

  const after = (await ask(before).expect(200)).body.revision;
  expect(after.split('-')[0]).not.toBe(before.split('-')[0]);
  const [epoch, value] = before.split('-');
  expect((await ask(`${epoch}-${Number(value) + 1}`)).body.code).toBe('lost_history');
  expect((await ask(after).expect(200)).body.allowed).toBe(true);
});
