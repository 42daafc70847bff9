import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { matrixOf } from '../support/matrix-files.ts';
import { startTestService, type TestService } from '../support/service.ts';

const permissions = 'permissions: { orders: { view: See, load: Load, pack: Pack } }\n';
const withLoader = (gives: string, words = 'name: Loader, description: Loads') =>
  `${permissions}roles: { loader: { ${words}, permissions: [${gives}] } }\n`;
const shop = matrixOf(withLoader('orders.view, orders.load'));

const loader = 'loader' as RoleKey;
const view = 'orders_view' as PermissionSlug;
const load = 'orders_load' as PermissionSlug;
const pack = 'orders_pack' as PermissionSlug;
const call = () => operatorCall(20_000);

let service: TestService;
beforeEach(async () => {
  service = await startTestService();
  // root loses what the shipped baseline gives the administrator besides.
  await service.runtime.matrix.apply(call(), shop, { allowLoss: true });
});
afterEach(() => service.close());

const plan = (...[layers, rest]: [typeof shop, object?]) =>
  service.runtime.matrix.plan(call(), { layers, ...rest });
const apply = (...[layers, terms]: [typeof shop, object?]) =>
  service.runtime.matrix.apply(call(), layers, terms);

async function grant(user: string, role: RoleKey = loader, scope = '', terms = {}): Promise<void> {
  const { runtime } = service;
  await runtime.users.create(call(), { id: user as UserId, email: null, active: true }).catch(() => {});
  await runtime.grants.put(call(), user as UserId, role, scope as Scope, {
    startsAt: null,
    expiresAt: null,
    reason: null,
    ...terms,
  });
}

async function given(role: RoleKey = loader): Promise<string[]> {
  const { permissions: rows } = await service.runtime.roleEdges.get(call(), role);
  return rows.filter((edge) => edge.given).map((edge) => edge.permission);
}

describe('a plan', () => {
  test('names who gains and who loses what, where, and changes nothing', async () => {
    await grant('anna');
    await grant('ben', loader, 'north');
    await grant('carl', loader, '', { startsAt: Date.now() + 3_600_000 });
    const planned = await plan(matrixOf(withLoader('orders.view, orders.pack')));
    expect(planned.losses).toEqual([
      { user: 'anna', scope: '', permissions: [load] },
      { user: 'ben', scope: 'north', permissions: [load] },
      { user: 'carl', scope: '', permissions: [load] },
    ]);
    expect(planned.gains.map(({ user, permissions: gained }) => [user, gained])).toEqual([
      ['anna', [pack]],
      ['ben', [pack]],
      ['carl', [pack]],
    ]);
    expect(await given()).toEqual([load, view]);
  });

  test('of what is applied already is empty, and applying it keeps the revision (0.6)', async () => {
    const first = await apply(shop);
    expect(first.changed).toBe(false);
    expect(await plan(shop)).toMatchObject({ isEmpty: true, changes: [], gains: [], losses: [] });
    for (let round = 0; round < 10; round += 1)
      expect(await apply(shop)).toMatchObject({ changed: false, revision: first.revision });
  });

  test('is refused once roles or permissions changed, and not when somebody was granted something', async () => {
    const next = matrixOf(withLoader('orders.view, orders.load, orders.pack'));
    const outdated = await plan(next);
    await service.runtime.roleEdges.give(call(), loader, pack);
    await expect(apply(next, { plan: outdated })).rejects.toMatchObject({ code: 'plan_outdated' });
    const current = await plan(next);
    await grant('anna');
    expect(await apply(next, { plan: current })).toMatchObject({ changed: true });
  });

  test('removes no role that only a mapping gives, whoever has it now', async () => {
    const rule = { issuer: 'https://idp', claim: ['groups'], value: 'x' };
    await service.runtime.mappings.create(call(), { ...rule, role: loader, scope: '' as Scope });
    const without = matrixOf(`${permissions}roles: {}\n`);
    expect((await plan(without)).changes.map(({ kind }) => kind)).not.toContain('role_removed');
    await apply(without, { allowLoss: true });
    expect((await service.as().get('/mappings').expect(200)).body.data).toMatchObject([{ role: loader }]);
  });

  test('that was applied can be applied again, and nothing happens', async () => {
    const next = matrixOf(withLoader('orders.view, orders.load, orders.pack'));
    const reviewed = await plan(next);
    const { revision } = await apply(next, { plan: reviewed });
    expect(await apply(next, { plan: reviewed })).toMatchObject({ changed: false, revision });
  });

  test('shows whom a retired permission concerns, and the name comes back with the declared edges only (2.10)', async () => {
    await grant('anna');
    await service.runtime.exceptions.put(call(), 'anna' as UserId, load, '' as Scope, {
      effect: 'allow',
      startsAt: null,
      expiresAt: null,
      reason: null,
    });
    const without = matrixOf(
      'permissions: { orders: { view: See } }\nroles: { loader: { name: Loader, description: Loads, permissions: [orders.view] } }\n',
    );
    expect((await plan(without)).retirements).toEqual([
      { permission: load, roles: [loader], users: ['anna'] },
      { permission: pack, roles: [], users: [] },
    ]);
    await apply(without, { allowLoss: true });
    await apply(shop);
    expect(await given()).toEqual([load, view]);
    expect((await service.as().get('/users/anna/permissions').expect(200)).body.permissions).toEqual([
      load,
      view,
    ]);
  });

  test('names whoever loses what only an exception gave them', async () => {
    await service.runtime.users.create(call(), { id: 'ben' as UserId, email: null, active: true });
    await service.runtime.exceptions.put(call(), 'ben' as UserId, pack, 'north' as Scope, {
      effect: 'allow',
      startsAt: null,
      expiresAt: null,
      reason: null,
    });
    const without = matrixOf(withLoader('orders.view, orders.load').replace(', pack: Pack', ''));
    expect((await plan(without)).losses).toEqual([{ user: 'ben', scope: 'north', permissions: [pack] }]);
  });

  test('refuses the name of a retired permission for another one (2.10)', async () => {
    const declaring = (resource: string, action: string) =>
      matrixOf(`permissions: { ${resource}: { ${action}: X } }\nroles: {}\n`);
    await apply(declaring('orders', 'view_all'), { allowLoss: true });
    await apply(declaring('orders', 'view'), { allowLoss: true });
    await expect(plan(declaring('orders_view', 'all'))).rejects.toMatchObject({
      code: 'slug_collision',
      message: '"orders_view.all" and "orders.view_all" share the slug "orders_view_all"',
    });
  });
});

describe('losses', () => {
  const less = matrixOf(withLoader('orders.view'));

  test('need to be allowed, and name who loses', async () => {
    await grant('anna');
    await expect(apply(less)).rejects.toMatchObject({
      code: 'loss_not_accepted',
      message: expect.stringContaining('anna'),
    });
    expect(await given()).toEqual([load, view]);
    await apply(less, { allowLoss: true });
    expect(await given()).toEqual([view]);
  });

  test('of somebody whom the plan did not name are refused, allowed or not', async () => {
    await grant('anna');
    const reviewed = await plan(less);
    await grant('ben');
    await expect(apply(less, { plan: reviewed, allowLoss: true })).rejects.toMatchObject({
      code: 'loss_not_accepted',
      message: expect.stringMatching(/^ben would lose/),
    });
    expect(await given()).toEqual([load, view]);
    await apply(less, { plan: await plan(less), allowLoss: true });
    expect(await given()).toEqual([view]);
  });

  test('that are made up for by another role are none', async () => {
    const both = (first: string) =>
      matrixOf(
        `${permissions}roles:\n  loader: { name: L, description: L, permissions: [${first}] }\n  packer: { name: P, description: P, permissions: [orders.load] }\n`,
      );
    await apply(both('orders.load, orders.view'));
    await grant('anna');
    await grant('anna', 'packer' as RoleKey);
    expect((await plan(both('orders.view'))).losses).toEqual([]);
  });
});

describe('what somebody changed past the matrix', () => {
  test('a revocation stays, and the plan says whose it was and when (2.9)', async () => {
    await service.as().delete('/roles/loader/permissions/orders.load').expect(200);
    const { changed } = await apply(shop);
    expect(changed).toBe(false);
    expect(await given()).toEqual([view]);
    const wider = matrixOf(withLoader('orders.view, orders.load, orders.pack'));
    const { kept, conflicts } = await plan(wider);
    expect(conflicts).toEqual([]);
    expect(kept).toEqual([
      {
        kind: 'edge',
        role: loader,
        permission: load,
        live: 'withheld',
        layers: ['baseline'],
        changed: { actor: 'user', by: 'root', at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) },
      },
    ]);
    await apply(wider);
    expect(await given()).toEqual([pack, view]);
  });

  test.each([
    ['live', [view]],
    ['matrix', [load, view]],
  ] as const)(
    'a revocation of what the files newly give again is a conflict: accepting %s settles it',
    async (accept, left) => {
      await service.as().delete('/roles/loader/permissions/orders.load').expect(200);
      await apply(matrixOf(withLoader('orders.view')));
      expect((await plan(shop)).conflicts).toMatchObject([{ permission: load, live: 'withheld' }]);
      await expect(apply(shop)).rejects.toMatchObject({ code: 'matrix_conflict' });
      await apply(shop, { accept });
      expect(await given()).toEqual(left);
      expect(await plan(shop)).toMatchObject({ isEmpty: true, conflicts: [] });
      expect((await apply(shop)).changed).toBe(false);
    },
  );

  test.each([
    ['live', [load, pack, view]],
    ['matrix', [load, view]],
  ] as const)(
    'a gift that a layer newly withholds is a conflict: accepting %s settles it',
    async (accept, left) => {
      await service.as().put('/roles/loader/permissions/orders.pack').expect(200);
      await grant('anna');
      const withholding = matrixOf(
        withLoader('orders.view, orders.load'),
        'id: strict\nwithhold: { loader: [orders.pack] }\n',
      );
      await expect(apply(withholding)).rejects.toMatchObject({ code: 'matrix_conflict' });
      await apply(withholding, { accept, allowLoss: true });
      expect(await given()).toEqual(left);
      expect(await plan(withholding, { accept: undefined })).toMatchObject({ isEmpty: true, conflicts: [] });
      // Reversing the layer removes what is its own and nothing else.
      await apply(shop, { allowLoss: true });
      expect(await given()).toEqual([load, pack, view]);
    },
  );

  test('a role that somebody renamed keeps its name until the files rename it too', async () => {
    await service.as().patch('/roles/loader').send({ name: 'Stevedore' }).expect(200);
    expect((await apply(shop)).changed).toBe(false);
    expect((await plan(shop)).kept).toMatchObject([
      { kind: 'role_words', role: loader, live: { name: 'Stevedore' }, changed: { by: 'root' } },
    ]);
    const renamed = matrixOf(withLoader('orders.view, orders.load', 'name: Docker, description: Loads'));
    await expect(apply(renamed)).rejects.toMatchObject({ code: 'matrix_conflict' });
    await apply(renamed, { accept: 'matrix' });
    expect((await service.runtime.roles.get(call(), loader)).name).toBe('Docker');
  });

  test('an edge of baseline, layer and API outlives any two of them (2.8)', async () => {
    const base = withLoader('orders.view');
    const bare = withLoader('');
    const layer = 'id: extra\nadd: { loader: [orders.view] }\n';
    const role = service.as();
    const all = async () => {
      await apply(matrixOf(base, layer));
      await role.put('/roles/loader/permissions/orders.view').expect(200);
    };
    const origins = async () =>
      (await role.get('/roles/loader/permissions').expect(200)).body.permissions.find(
        (edge: { permission: string }) => edge.permission === view,
      );

    await all();
    await apply(matrixOf(bare));
    expect(await origins()).toMatchObject({ given: true, origins: ['api'] });

    await all();
    await apply(matrixOf(base));
    expect(await origins()).toMatchObject({ given: true, origins: ['api', 'baseline'] });

    await all();
    await apply(matrixOf(bare, layer));
    expect(await origins()).toMatchObject({ given: true, origins: ['api', 'extra'] });
    // Taken away by API and given again, its own origin gone and back: the layer's was never touched.
    await role.delete('/roles/loader/permissions/orders.view').expect(200);
    expect(await origins()).toMatchObject({ given: false, origins: ['extra'], withheldBy: ['api'] });
  });
});
