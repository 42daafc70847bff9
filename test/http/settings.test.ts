import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settingDefinitions, settingKeys } from '../../src/domain/settings.ts';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

async function read(key: string) {
  const response = await service.as().get(`/settings/${key}`);
  expectContract(response, 'GET', '/settings/{setting}');
  return response;
}

interface ChangeOptions {
  readonly key?: string;
  /** The ETag to send; the present one if left out, none if null. */
  readonly etag?: string | null;
  readonly query?: string;
}

async function change(setting: string, value: unknown, { key, etag, query = '' }: ChangeOptions = {}) {
  const present = etag === undefined ? String((await read(setting)).headers['etag']) : etag;
  const request = service.as(key).patch(`/settings/${setting}${query}`);
  const response = await (present === null ? request : request.set('if-match', present)).send({ value });
  expectContract(response, 'PATCH', '/settings/{setting}');
  return response;
}

const rows = () => sql`select key, value from rolecall.settings order by key`;

describe('the settings', () => {
  test('are listed with what counts, what they take and what they are for (3.1)', async () => {
    const { body } = await service.as().get('/settings').expect(200);
    expect(body.data.map(({ key }: { key: string }) => key)).toEqual(settingKeys);
    expect(body.data[settingKeys.indexOf('authorize_batch_limit')]).toEqual({
      ...settingDefinitions.authorize_batch_limit,
      key: 'authorize_batch_limit',
      value: 1_000,
      updatedAt: null,
      version: expect.any(String),
    });
    const { version } = body.data[settingKeys.indexOf('lease_ms')];
    expect((await read('lease_ms')).headers['etag']).toBe(`"${version}"`);
  });

  test('have a row only when they were changed, and none when they are back at the default (3.1)', async () => {
    expect(await rows()).toEqual([]);
    const changed = await change('lease_ms', 250);
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({ changed: true, setting: { key: 'lease_ms', value: 250 } });
    expect(changed.body.setting.updatedAt).not.toBeNull();
    expect(await rows()).toEqual([{ key: 'lease_ms', value: 250 }]);
    const again = await change('lease_ms', 250);
    expect(again.body).toMatchObject({ changed: false, revision: changed.body.revision });
    expect((await change('lease_ms', null)).body.setting).toMatchObject({ value: null, updatedAt: null });
    expect(await rows()).toEqual([]);
  });

  test('are recorded with what was, what is, and who changed them (3.1)', async () => {
    await change('personal_retention_days', 30);
    const { body } = await change('personal_retention_days', 60);
    const [entry] = await sql`
      select kind, before, after, users.id as actor, user_pk from rolecall.journal
      join rolecall.users on users.pk = actor_pk where revision = ${body.revision.split('-')[1]}`;
    expect(entry).toEqual({
      kind: 'setting_changed',
      before: { setting: 'personal_retention_days', value: 30 },
      after: { setting: 'personal_retention_days', value: 60 },
      actor: 'root',
      user_pk: null,
    });
  });

  test('do not move the catalogue revision', async () => {
    const catalogue = async () => (await sql`select catalogue_value from rolecall.revision`)[0];
    const before = await catalogue();
    expect((await change('lease_ms', 11)).body.changed).toBe(true);
    expect(await catalogue()).toEqual(before);
  });
});

describe('a change of a setting is refused', () => {
  const wrong: readonly [string, unknown, string][] = [
    ['lease_ms', '250', 'whole number'],
    ['lease_ms', 2.5, 'whole number'],
    ['lease_ms', true, 'whole number'],
    ['lease_ms', { ms: 1 }, 'whole number'],
    ['lease_ms', [1], 'whole number'],
    ['lease_ms', -1, 'from 0 to 60000'],
    ['lease_ms', 60_001, 'from 0 to 60000'],
    ['authorize_batch_limit', 0, 'from 1 to 1000'],
    ['grant_batch_limit', 10_001, 'from 1 to 10000'],
    ['permission_batch_limit', 1_001, 'from 1 to 1000'],
    ['default_role', 7, 'a text'],
    ['default_role', 'x'.repeat(101), 'at most 100 characters'],
  ];
  test.for(wrong)(
    'for %s with %j: of the wrong type, or out of bounds: 422 (3.1)',
    async ([key, value, said]) => {
      const before = await rows();
      const { body } = await change(key, value);
      expect(body).toMatchObject({
        status: 422,
        code: 'invalid_setting',
        detail: expect.stringContaining(said),
        errors: [{ pointer: '/value' }],
      });
      expect(await rows()).toEqual(before);
    },
  );

  test('if it is not for changing: 409 (3.1)', async () => {
    const { body } = await change('idempotency_hours', 1);
    expect(body).toMatchObject({ status: 409, code: 'immutable_setting' });
    expect((await read('idempotency_hours')).body.value).toBe(24);
  });

  test('if there is no such setting: 404 with the nearest (3.1)', async () => {
    expect((await change('lease_mss', 1, { etag: '"x"' })).body).toMatchObject({
      status: 404,
      code: 'unknown_setting',
      didYouMean: ['lease_ms'],
    });
    expect((await read('default_rol')).body.didYouMean).toEqual(['default_role']);
  });

  test('without If-Match: 428, and with that of another state: 412', async () => {
    expect((await change('lease_ms', 1, { etag: null })).body).toMatchObject({
      code: 'precondition_required',
    });
    const { headers } = await read('lease_ms');
    const stale = String(headers['etag']);
    expect((await change('lease_ms', 40, { etag: stale })).status).toBe(200);
    for (const etag of [stale, 'W/"x"', '*', '""'])
      expect((await change('lease_ms', 41, { etag })).body).toMatchObject({
        status: 412,
        code: 'precondition_failed',
      });
    expect((await read('lease_ms')).body.value).toBe(40);
  });

  test('of two at once from the same state, but for the first', async () => {
    const etag = String((await read('lease_ms')).headers['etag']);
    const both = await Promise.all([change('lease_ms', 51, { etag }), change('lease_ms', 52, { etag })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
  });

  test('for who may only see them', async () => {
    await service.as().post('/roles').send({ key: 'looker', name: 'x' }).expect(201);
    await service.as().put('/roles/looker/permissions/rolecall_read_settings').expect(200);
    const key = await service.keyFor('lou', 'looker');
    await service.as(key).get('/settings').expect(200);
    const { headers } = await read('lease_ms');
    const { body } = await change('lease_ms', 1, { key, etag: String(headers['etag']) });
    expect(body).toMatchObject({ status: 403, code: 'forbidden' });
  });
});

describe('the most at once', () => {
  const ask = (number: number) =>
    service
      .as()
      .post('/authorize/batch')
      .send({ checks: Array.from({ length: number }, () => ({ permission: 'orders.view_order' })) });

  test('are as many as authorize_batch_limit says', async () => {
    await ask(4).expect(200);
    await change('authorize_batch_limit', 3);
    await ask(3).expect(200);
    const refused = await ask(4);
    expectContract(refused, 'POST', '/authorize/batch');
    expect(refused.body).toMatchObject({
      status: 400,
      code: 'invalid_input',
      detail: expect.stringContaining('authorize_batch_limit'),
      errors: [{ pointer: '/checks', code: 'too_big' }],
    });
    await change('authorize_batch_limit', null);
    await ask(4).expect(200);
  });

  const several = <Row>(row: (number: number) => Row) =>
    Array.from({ length: 4 }, (_, number) => row(number));
  test.each([
    [
      'grant_batch_limit',
      '/grants/batch',
      'changes',
      several((number) => ({ op: 'grant', user: 'root', role: 'viewer', scope: `place-${number}` })),
    ],
    [
      'permission_batch_limit',
      '/permissions/batch',
      'permissions',
      several((number) => ({ permission: `many.do_${number}` })),
    ],
  ] as const)(
    'are as many as %s says at POST %s, and more do nothing (3.1)',
    async (key, url, member, all) => {
      const send = (number: number) =>
        service
          .as()
          .post(url)
          .send({ ...(key === 'grant_batch_limit' && { mode: 'atomic' }), [member]: all.slice(0, number) });
      await change(key, 3);
      const revision = async () => (await sql`select value from rolecall.revision`)[0]?.['value'];
      const before = await revision();
      const refused = await send(4);
      expectContract(refused, 'POST', url);
      expect(refused.body).toMatchObject({
        status: 400,
        code: 'invalid_input',
        detail: expect.stringContaining(`at most 3`),
        errors: [{ pointer: `/${member}`, code: 'too_big' }],
      });
      expect(await revision()).toBe(before);
      await send(3).expect(200);
      await change(key, null);
      await send(4).expect(200);
    },
  );
});
