import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime } from '../support/runtime.ts';
import { type Watch, watchChanges } from '../support/shadow-log.ts';

let database: TestDatabase;
let watch: Watch;
/** Somebody who passes for the service. */
let sql: postgres.Sql;
beforeEach(async () => {
  database = await createTestDatabase();
  watch = await watchChanges(database.url);
  sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { application_name: 'rolecall' } });
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

test('every change has its entry, and every entry its change (D-04)', async () => {
  const runtime = await openTestRuntime(database.url);
  const call = () => operatorCall(20_000);
  const ada = 'ada' as UserId;
  const terms = { startsAt: null, expiresAt: null, reason: 'x' };
  await runtime.users.create(call(), { id: ada, email: 'a@x.y', active: true });
  await runtime.identities.link(call(), ada, { issuer: 'i', subject: 's' });
  await runtime.grants.put(call(), ada, 'loader' as RoleKey, '' as Scope, terms);
  const denied = { ...terms, effect: 'deny' as const };
  await runtime.exceptions.put(call(), ada, 'orders_view_order' as PermissionSlug, '' as Scope, denied);
  await runtime.apiKeys.create(call(), {
    user: ada,
    name: 'k',
    permissions: null,
    scope: '' as Scope,
    expiresAt: null,
  });
  await runtime.permissions.register(call(), [{ resource: 'shop', action: 'open', description: '' }]);
  await runtime.roles.create(call(), { key: 'crew' as RoleKey, name: 'Crew', description: '' });
  await runtime.roleEdges.give(call(), 'crew' as RoleKey, 'shop_open' as PermissionSlug);
  await runtime.roleEdges.include(call(), 'crew' as RoleKey, 'loader' as RoleKey);
  await runtime.permissions.retire(call(), 'shop_open' as PermissionSlug);
  await runtime.roles.remove(call(), 'crew' as RoleKey);
  await runtime.users.erase(call(), ada);
  await runtime.close();
  const { changes, missing, extra } = await watch.compare();
  expect(changes).toBeGreaterThan(10);
  expect({ missing, extra }).toEqual({ missing: [], extra: [] });
});

test.each([
  [`insert into rolecall.users (id) values ('x')`, /^user_created \d+ - -$/],
  [`update rolecall.roles set name = 'x' where key = 'loader'`, /^role_updated - \d+ -$/],
  [
    `delete from rolecall.role_permissions where role_pk = (select pk from rolecall.roles where key = 'loader')`,
    /^edge_removed/,
  ],
  [
    `update rolecall.permissions set retired_at = now() where slug = 'orders_view_order'`,
    /^permission_retired/,
  ],
])('a change without an entry is found: %s', async (statement, due) => {
  await sql.unsafe(statement);
  const { missing, extra } = await watch.compare();
  expect(missing[0]).toMatch(due);
  expect(extra).toEqual([]);
  await expect(watch.requireComplete()).rejects.toThrow(/the journal lacks/);
});

test('an entry without a change is found, and one about somebody else', async () => {
  const note = (
    kind: string,
    user: string,
  ) => `insert into rolecall.journal (revision, number, time, kind, actor_kind,
    user_pk, digests, hmac) values (9999, 1, now(), '${kind}', 'operator', ${user}, '{}', sha256(''))`;
  await sql.unsafe(note('user_deleted', '77'));
  expect(await watch.compare()).toMatchObject({ missing: [], extra: ['user_deleted 77 - -'] });
  await sql.unsafe(`delete from rolecall.journal where revision = 9999`);
  await sql.begin(async (on) => {
    await on.unsafe(`insert into rolecall.users (id) values ('x')`);
    await on.unsafe(note('user_created', '78'));
  });
  const { missing, extra } = await watch.compare();
  expect([missing.length, extra.length]).toEqual([1, 2]);
});
