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

test('purge-personal says what it erased, or that nothing is to be erased', async () => {
  const purge = (...words: string[]) =>
    run(['admin', 'purge-personal', ...words], environmentFor(database.url));
  expect(await purge()).toMatchObject({
    code: 0,
    stdout: 'Personal values are kept for good: the setting personal_retention_days is not set.\n',
  });
  const at = '/settings/personal_retention_days';
  const { headers } = await service.as().get(at).expect(200);
  await service.as().patch(at).set('if-match', String(headers['etag'])).send({ value: 1 }).expect(200);
  expect(await purge('--dry-run')).toMatchObject({
    code: 0,
    stdout: 'Would erase 0 personal values older than 1 day.\n',
  });
  const { code, stdout } = await purge('--json');
  expect([code, JSON.parse(stdout)]).toEqual([0, { dryRun: false, retentionDays: 1, values: 0 }]);
});
