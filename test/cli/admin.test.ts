import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

let database: TestDatabase;
let service: TestService;
beforeAll(async () => {
  database = await createWatchedDatabase();
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

test('recover makes an administrator of somebody who was shut out, and is recorded (A-13)', async () => {
  const [id, place] = ['shut-out', '/users/shut-out'];
  await service.as().post('/users').send({ id }).expect(201);
  await service.as().put(`${place}/roles/admin`).send({ expiresAt: '2099-01-01T00:00:00Z' }).expect(201);
  await service.as().put(`${place}/permissions/rolecall_check`).send({ effect: 'deny' }).expect(201);
  await service.as().put(`${place}/permissions/orders_view_order`).send({ effect: 'deny' }).expect(201);
  await service.as().patch(place).send({ active: false }).expect(200);

  const { code, stdout } = await run(
    ['admin', 'recover', '--user', id, '--json'],
    environmentFor(database.url),
  );
  expect(code).toBe(0);
  const { key } = JSON.parse(stdout);
  expect((await service.as(key).get('/me/permissions').expect(200)).body.permissions).toContain(
    'rolecall_check',
  );
  expect((await service.as(key).get(`${place}/exceptions`)).body.data).toMatchObject([
    { permission: 'orders_view_order' },
  ]);
  // They are an administrator for good: the other may go.
  await service.as(key).delete('/users/root/roles/admin').expect(200);
  await service.as(key).put('/users/root/roles/admin').expect(201);

  const sql = postgres(database.url, { max: 1 });
  const recorded = await sql`
    select kind from rolecall.journal where actor_kind = 'operator' and revision = (
      select max(revision) from rolecall.journal where actor_kind = 'operator') order by number`;
  await sql.end();
  expect(recorded.map(({ kind }) => kind)).toEqual([
    'user_updated',
    'exception_removed',
    'grant_set',
    'key_created',
  ]);
});
