import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const edge = '/roles/{role}/permissions/{permission}';
const include = '/roles/{role}/includes/{other}';

async function newRole(key: string, ...permissions: readonly string[]): Promise<void> {
  await service.as().post('/roles').send({ key, name: key }).expect(201);
  for (const permission of permissions) await give(`${key}/permissions/${permission}`);
}

async function edgesOf(role: string) {
  const response = await service.as().get(`/roles/${role}/permissions`);
  expectContract(response, 'GET', '/roles/{role}/permissions');
  return response;
}

async function give(place: string) {
  const response = await service.as().put(`/roles/${place}`);
  expectContract(response, 'PUT', place.includes('/includes/') ? include : edge);
  return response;
}

async function take(place: string) {
  const response = await service.as().delete(`/roles/${place}`);
  expectContract(response, 'DELETE', place.includes('/includes/') ? include : edge);
  return response;
}

async function replace(role: string, permissions: readonly string[], etag?: string) {
  const request = service.as().put(`/roles/${role}/permissions`).send({ permissions });
  const response = await (etag === undefined ? request : request.set('if-match', etag));
  expectContract(response, 'PUT', '/roles/{role}/permissions');
  return response;
}

/** What a role gives to somebody who has only that. */
async function givenBy(role: string): Promise<string[]> {
  const user = `holder-of-${role}`;
  await service.as().post('/users').send({ id: user });
  await service.as().put(`/users/${user}/roles/${role}`);
  return (await service.as().get(`/users/${user}/permissions`).expect(200)).body.permissions;
}

describe('giving a permission to a role', () => {
  test('adds the origin api, works at once and twice changes nothing', async () => {
    await newRole('packer');
    const given = await give('packer/permissions/orders.view_prices');
    expect(given.body).toMatchObject({
      role: 'packer',
      changed: true,
      permissions: [{ permission: 'orders_view_prices', given: true, origins: ['api'], withheldBy: [] }],
    });
    const again = await give('packer/permissions/orders:view_prices');
    expect(again.body).toMatchObject({ changed: false, revision: given.body.revision });
    expect(await givenBy('packer')).toEqual(['orders_view_prices']);
  });

  test('beside the matrix makes two origins, and taking away leaves a tombstone over the other (2.8)', async () => {
    const edgeOf = async () =>
      (await edgesOf('loader')).body.permissions.find(
        (one: { permission: string }) => one.permission === 'orders_load_order',
      );
    expect(await edgeOf()).toMatchObject({ given: true, origins: ['baseline'], withheldBy: [] });
    expect((await give('loader/permissions/orders_load_order')).body.changed).toBe(true);
    expect(await edgeOf()).toMatchObject({ given: true, origins: ['api', 'baseline'], withheldBy: [] });
    expect((await take('loader/permissions/orders_load_order')).body.changed).toBe(true);
    expect(await edgeOf()).toMatchObject({ given: false, origins: ['baseline'], withheldBy: ['api'] });
    expect(await givenBy('loader')).not.toContain('orders_load_order');
    expect((await take('loader/permissions/orders_load_order')).body.changed).toBe(false);
    expect((await give('loader/permissions/orders_load_order')).body.changed).toBe(true);
    expect(await edgeOf()).toMatchObject({ given: true, origins: ['api', 'baseline'], withheldBy: [] });
    expect(await givenBy('loader')).toContain('orders_load_order');
  });

  test('taken from where nobody gave it changes nothing and leaves no tombstone', async () => {
    await newRole('idler');
    expect((await take('idler/permissions/orders_view_prices')).body).toMatchObject({
      changed: false,
      permissions: [],
    });
    await give('idler/permissions/orders_view_prices');
    expect((await take('idler/permissions/orders_view_prices')).body).toMatchObject({
      changed: true,
      permissions: [],
    });
  });

  test('that is unknown, or to an unknown role, is 404 with the nearest names', async () => {
    await newRole('finder');
    const noPermission = await give('finder/permissions/orders_view_price');
    expect(noPermission.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    expect(noPermission.body.didYouMean).toContain('orders_view_prices');
    const noRole = await give('findr/permissions/orders_view_prices');
    expect(noRole.body).toMatchObject({ status: 404, code: 'unknown_role', didYouMean: ['finder'] });
  });
});

describe('including a role', () => {
  test('gives what the other gives, however deep, and taking it out takes that away', async () => {
    await newRole('base', 'orders_view_prices');
    await newRole('middle');
    await newRole('top');
    await give('middle/includes/base');
    expect((await give('top/includes/middle')).body).toMatchObject({ changed: true, includes: ['middle'] });
    expect(await givenBy('top')).toEqual(['orders_view_prices']);
    expect((await give('top/includes/middle')).body.changed).toBe(false);
    expect((await take('middle/includes/base')).body).toMatchObject({ changed: true, includes: [] });
    expect(await givenBy('top')).toEqual([]);
    expect((await take('middle/includes/base')).body.changed).toBe(false);
  });

  test('that the matrix declares can be taken out, and put back', async () => {
    expect((await edgesOf('accountant')).body.includes).toEqual(['viewer']);
    expect((await take('accountant/includes/viewer')).body).toMatchObject({ changed: true, includes: [] });
    expect(await givenBy('accountant')).not.toContain('orders_view_order');
    expect((await give('accountant/includes/viewer')).body).toMatchObject({
      changed: true,
      includes: ['viewer'],
    });
    expect(await givenBy('accountant')).toContain('orders_view_order');
  });

  test('is refused where a role would include itself, naming the way round', async () => {
    for (const key of ['ring-a', 'ring-b', 'ring-c']) await newRole(key);
    expect((await give('ring-a/includes/ring-a')).body).toMatchObject({ status: 409, code: 'include_cycle' });
    await give('ring-a/includes/ring-b');
    await give('ring-b/includes/ring-c');
    const refused = await give('ring-c/includes/ring-a');
    expect(refused.body).toMatchObject({ status: 409, code: 'include_cycle' });
    expect(refused.body.detail).toContain('ring-c -> ring-a -> ring-b -> ring-c');
    expect((await edgesOf('ring-c')).body.includes).toEqual([]);
  });

  test('closes no circle over an include that is only withheld', async () => {
    await newRole('loop');
    await take('manager/includes/viewer');
    await give('loop/includes/manager');
    await give('manager/includes/viewer');
    expect((await give('manager/includes/loop')).body.code).toBe('include_cycle');
  });

  test('of two that include each other at once, one is refused', async () => {
    for (let round = 0; round < 10; round += 1) {
      await newRole(`left-${round}`);
      await newRole(`right-${round}`);
      const both = await Promise.all([
        give(`left-${round}/includes/right-${round}`),
        give(`right-${round}/includes/left-${round}`),
      ]);
      expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    }
  });

  test('that is unknown is 404', async () => {
    await newRole('lonely');
    expect((await give('lonely/includes/lonly')).body).toMatchObject({
      code: 'unknown_role',
      didYouMean: ['lonely'],
    });
    expect((await take('lonely/includes/nothing-like-it')).body.code).toBe('unknown_role');
  });
});

describe('replacing all permissions of a role', () => {
  test('makes them exactly these and answers with the next ETag', async () => {
    await newRole('writer', 'orders_view_prices', 'orders_view_order');
    const { headers } = await edgesOf('writer');
    expect(headers['etag']).toMatch(/^"[\w-]+"$/);
    const replaced = await replace('writer', ['orders.view_order', 'orders:load_order'], headers['etag']);
    expect(replaced.status).toBe(200);
    expect(replaced.body.permissions.map((one: { permission: string }) => one.permission)).toEqual([
      'orders_load_order',
      'orders_view_order',
    ]);
    const now = await edgesOf('writer');
    expect(replaced.headers['etag']).toBe(now.headers['etag']);
    expect(now.headers['etag']).not.toBe(headers['etag']);
    const same = await replace(
      'writer',
      ['orders_load_order', 'orders_view_order', 'orders_load_order'],
      now.headers['etag'],
    );
    expect(same.body).toMatchObject({ changed: false, revision: replaced.body.revision });
    expect(await givenBy('writer')).toEqual(['orders_load_order', 'orders_view_order']);
  });

  test('withholds what the matrix gives and leaves its other origins alone', async () => {
    const { headers } = await edgesOf('backend');
    const replaced = await replace('backend', ['rolecall.check', 'orders.view_order'], headers['etag']);
    expect(replaced.body.permissions).toEqual([
      { permission: 'orders_view_order', given: true, origins: ['api'], withheldBy: [] },
      { permission: 'rolecall_check', given: true, origins: ['baseline'], withheldBy: [] },
      { permission: 'rolecall_read_users', given: false, origins: ['baseline'], withheldBy: ['api'] },
    ]);
    const back = await replace(
      'backend',
      ['rolecall.check', 'rolecall.read_users'],
      replaced.headers['etag'],
    );
    expect(back.body.permissions.filter((one: { given: boolean }) => one.given)).toHaveLength(2);
  });

  test('needs If-Match with the one strong ETag of what stands', async () => {
    await newRole('reader', 'orders_view_prices');
    const etag = (await edgesOf('reader')).headers['etag'] as string;
    expect((await replace('reader', [])).body).toMatchObject({ status: 428, code: 'precondition_required' });
    for (const stale of ['"stale"', `W/${etag}`, '*', etag.slice(1, -1), ''])
      expect((await replace('reader', [], stale)).body, stale).toMatchObject({
        status: 412,
        code: 'precondition_failed',
      });
    await give('reader/permissions/orders_view_order');
    expect((await replace('reader', [], etag)).body.code).toBe('precondition_failed');
    expect(await givenBy('reader')).toEqual(['orders_view_order', 'orders_view_prices']);
  });

  test('by two at once is done by one: the other is told and nothing is lost (D-09)', async () => {
    await newRole('shared');
    const etag = (await edgesOf('shared')).headers['etag'] as string;
    const wanted = [['orders_view_order'], ['orders_view_prices']];
    const both = await Promise.all(wanted.map((permissions) => replace('shared', permissions, etag)));
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    expect(await givenBy('shared')).toEqual(wanted[both.findIndex(({ status }) => status === 200)]);
  });

  test('changes nothing if one of them is unknown or none at all', async () => {
    await newRole('whole', 'orders_view_prices');
    const etag = (await edgesOf('whole')).headers['etag'] as string;
    const unknown = await replace('whole', ['orders_view_order', 'orders_fly_away'], etag);
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    const fault = await replace('whole', ['orders_view_order', 'Orders'], etag);
    expect(fault.body).toMatchObject({ status: 400, errors: [{ pointer: '/permissions/1' }] });
    expect((await edgesOf('whole')).headers['etag']).toBe(etag);
  });
});
