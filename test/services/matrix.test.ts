import { readFile } from 'node:fs/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { builtinLayer } from '../../src/domain/matrix/builtin.ts';
import { parseMatrixFile } from '../../src/domain/matrix/parse.ts';
import type { Runtime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { openTestRuntime } from '../support/runtime.ts';
import { type Watch, watchChanges } from '../support/shadow-log.ts';

const read = (text: string) => parseMatrixFile('baseline.yaml', text, builtinLayer.permissions);

const small = (permissions: string, roles: string) =>
  read(`version: 1\npermissions:\n${permissions}\nroles:\n${roles}`);

const shop = small(
  '  orders:\n    view_order: See\n    load_order: Load',
  `  loader: { name: Loader, description: Loads, permissions: [orders.*], includes: [viewer] }
  viewer: { name: Viewer, description: Sees, system: true, permissions: [orders.view_order] }`,
);

let database: TestDatabase;
let runtime: Runtime;
let sql: postgres.Sql;
let watch: Watch;

beforeEach(async () => {
  database = await createEmptyDatabase();
  await migrateUp({ url: database.url, steps: await readSteps() });
  watch = await watchChanges(database.url);
  runtime = await openTestRuntime(database.url);
  sql = postgres(database.url, { max: 2, onnotice: () => {} });
});
afterEach(async () => {
  await runtime.close();
  await sql.end();
  try {
    await watch.requireComplete();
  } finally {
    await database.drop();
  }
});

const apply = (layer: ReturnType<typeof read>) => runtime.matrix.apply(operatorCall(20_000), [layer]);

/** Which roles give which permissions, by origin, as the database has it. */
async function edges(): Promise<string[]> {
  const rows = await sql<{ edge: string }[]>`
    select format('%s %s %s %s', key, slug, origin, withheld) as edge
    from rolecall.role_permissions join rolecall.roles on roles.pk = role_pk
    join rolecall.permissions on permissions.pk = permission_pk where key <> 'admin' order by 1`;
  return rows.map((row) => row.edge);
}

const journalRows = async () => Number((await sql`select count(*) from rolecall.journal`)[0]?.['count']);

describe('a fresh database', () => {
  test('says what the baseline says, in one revision (2.1)', async () => {
    const baseline = read(await readFile(shippedBaseline, 'utf8'));
    expect(await apply(baseline)).toMatchObject({ changed: true, revision: expect.stringMatching(/-1$/) });
    const expected = baseline.roles
      .filter((role) => role.key !== 'admin')
      .flatMap((role) => role.permissions.map((slug) => `${role.key} ${slug} baseline f`));
    expect(await edges()).toEqual(expected.sort());
  });

  test('ten applications write once (0.6)', async () => {
    const first = await apply(shop);
    const rows = await journalRows();
    for (let round = 0; round < 9; round += 1)
      expect(await apply(shop)).toMatchObject({
        value: { isEmpty: true, changes: [] },
        changed: false,
        revision: first.revision,
      });
    expect(await journalRows()).toBe(rows);
  });

  test('applied by eight at once it is applied once', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => apply(shop)));
    expect(results.filter((result) => result.changed)).toHaveLength(1);
    expect(new Set(results.map((result) => result.revision)).size).toBe(1);
  });

  test('a collision with a permission that a service registered is refused whole, naming both (0.4, 2.3)', async () => {
    await runtime.permissions.register(operatorCall(20_000), [
      { resource: 'a', action: 'b_c', description: '' },
    ]);
    const rows = await journalRows();
    const colliding = small(
      '  orders: { view_order: See }\n  a_b: { c: Collides }',
      '  r: { name: R, description: R }',
    );
    await expect(apply(colliding)).rejects.toMatchObject({
      code: 'slug_collision',
      message: expect.stringMatching(/a_b\.c.*a\.b_c|a\.b_c.*a_b\.c/),
    });
    expect(await journalRows()).toBe(rows);
    expect(await edges()).toEqual([]);
    // Whoever writes past the service meets the same wall in the database.
    await expect(
      sql`insert into rolecall.permissions (resource, action) values ('a_b', 'c')`,
    ).rejects.toMatchObject({ code: '23505' });
  });
});

describe('a change of the file', () => {
  test('equals a fresh database, but for what is retired (2.2)', async () => {
    await apply(shop);
    const changed = small(
      '  orders:\n    view_order: See\n    pack_order: Pack',
      '  loader: { name: Loader, description: Loads, permissions: [orders.pack_order] }',
    );
    await apply(changed);
    expect(await edges()).toEqual(['loader orders_pack_order baseline f']);
    expect(
      await sql`select slug, retired_at is not null as retired from rolecall.permissions where resource = 'orders' order by slug`,
    ).toEqual([
      { slug: 'orders_load_order', retired: true },
      { slug: 'orders_pack_order', retired: false },
      { slug: 'orders_view_order', retired: false },
    ]);
    // Nobody holds it, so a fresh database and this one have the same roles.
    expect(await sql`select key from rolecall.roles order by key`).toEqual([
      { key: 'admin' },
      { key: 'loader' },
    ]);
    // Declared again, a retired permission comes back with the declared edges only (2.10).
    await apply(shop);
    expect(await edges()).toEqual([
      'loader orders_load_order baseline f',
      'loader orders_view_order baseline f',
      'viewer orders_view_order baseline f',
    ]);
  });

  test('a role that people hold is left to them, once somebody allowed what they lose', async () => {
    await apply(shop);
    const call = operatorCall(20_000);
    await runtime.users.create(call, { id: 'u' as UserId, email: null, active: true });
    const terms = { startsAt: null, expiresAt: null, reason: null };
    await runtime.grants.put(call, 'u' as UserId, 'viewer' as RoleKey, '' as Scope, terms);
    const without = small('  orders: { view_order: See }', '  loader: { name: Loader, description: Loads }');
    await expect(apply(without)).rejects.toMatchObject({
      code: 'loss_not_accepted',
      message: expect.stringContaining('u would lose something'),
    });
    expect(await edges()).toContain('viewer orders_view_order baseline f');
    const { value } = await runtime.matrix.apply(call, [without], { allowLoss: true });
    expect(value).toMatchObject({
      losses: [{ user: 'u', scope: '', permissions: ['orders_view_order'] }],
      leftRoles: [{ role: 'viewer', holders: 1 }],
    });
    expect(await sql`select is_system, declared_in from rolecall.roles where key = 'viewer'`).toEqual([
      { is_system: false, declared_in: null },
    ]);
  });

  test('what an admin gave and took over the API stays as they left it (2.8, 2.9)', async () => {
    await apply(shop);
    const call = operatorCall(20_000);
    const loader = 'loader' as RoleKey;
    await runtime.roleEdges.withhold(call, loader, 'orders_load_order' as never);
    await runtime.permissions.register(call, [{ resource: 'bikes', action: 'ride', description: '' }]);
    await runtime.roleEdges.give(call, loader, 'bikes_ride' as never);
    await runtime.roleEdges.give(call, loader, 'orders_view_order' as never);
    expect((await apply(shop)).changed).toBe(false);
    const bare = small(
      '  orders: { view_order: See, load_order: Load }',
      '  loader: { name: Loader, description: Loads }',
    );
    await apply(bare);
    expect(await edges()).toEqual([
      'loader bikes_ride api f',
      'loader orders_load_order api t',
      'loader orders_view_order api f',
    ]);
  });

  test('a cycle with an include made over the API is refused with the way round', async () => {
    await apply(
      small(
        '  orders: { view_order: See }',
        '  a: { name: A, description: A }\n  b: { name: B, description: B }',
      ),
    );
    await runtime.roleEdges.include(operatorCall(20_000), 'b' as RoleKey, 'a' as RoleKey);
    const cyclic = small(
      '  orders: { view_order: See }',
      '  a: { name: A, description: A, includes: [b] }\n  b: { name: B, description: B }',
    );
    await expect(apply(cyclic)).rejects.toMatchObject({
      code: 'include_cycle',
      message: expect.stringContaining('a -> b -> a'),
    });
  });
});
