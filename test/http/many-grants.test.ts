import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { long } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

// Around what 16 bits count; reading them all back takes its time.
test.skipIf(!long)(
  '65,536 grants of one role to one user, and one more, count each (N-10)',
  { timeout: 600_000 },
  async () => {
    await service.as().post('/users').send({ id: 'collector' }).expect(201);
    const sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
    await sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope)
    select users.pk, roles.pk, 'place/' || number
    from rolecall.users, rolecall.roles, generate_series(1, 65536) as number
    where users.id = 'collector' and roles.key = 'loader'`;
    await sql.end();
    const mayLoad = async (scope: string) => {
      const question = { user: 'collector', permission: 'orders.load_order', scope };
      return (await service.as().post('/authorize').send(question).expect(200)).body.allowed;
    };
    const answers = async () => [
      await mayLoad('place/1'),
      await mayLoad('place/65536'),
      await mayLoad('place/65537'),
    ];
    expect(await answers()).toEqual([true, true, false]);
    expect(await mayLoad('place')).toBe(false);
    const one = '/users/collector/roles/loader?scope=place/65537';
    expect((await service.as().put(one).expect(201)).body.gained).toContain('orders_load_order');
    expect(await answers()).toEqual([true, true, true]);
    const { body } = await service
      .as()
      .get('/users/collector/scopes?permission=orders.load_order')
      .expect(200);
    expect(new Set(body.scopes).size).toBe(65_537);
    await service.as().delete(one).expect(200);
    expect(await answers()).toEqual([true, true, false]);
    await service.as().delete('/users/collector/roles/loader?scope=place/1').expect(200);
    expect(await answers()).toEqual([false, true, false]);
  },
);

test('a number is one in one spelling, and everything else is refused (N-10)', async () => {
  const others = [
    '0',
    '-1',
    '+1',
    '1.0',
    '1e1',
    '0x10',
    '٣',
    '01',
    ' 1',
    '1 ',
    '201',
    '2147483648',
    '9007199254740992',
    '1e21',
    '',
  ];
  for (const limit of others)
    expect((await service.as().get('/users').query({ limit })).status, limit).toBe(400);
  for (const limit of ['1', '50', '199', '200'])
    expect((await service.as().get('/users').query({ limit })).status, limit).toBe(200);
});
