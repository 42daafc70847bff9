import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesWithLayer } from '../support/matrix-files.ts';
import { startTestService, type TestService } from '../support/service.ts';

const [baseline, prices] = filesWithLayer as [{ name: string; text: string }, { name: string; text: string }];

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
  await service.keyFor('lars', 'loader');
});
afterAll(() => service.close());

const plan = (files: object[], more = {}, key?: string) =>
  service
    .as(key)
    .post('/matrix/plan')
    .send({ files, ...more });
const apply = (files: object[], more = {}, key?: string) =>
  service
    .as(key)
    .post('/matrix/apply')
    .send({ files, ...more });

test('what is planned is what applying does, once, and losing it again must be allowed', async () => {
  const planned = (await plan(filesWithLayer).expect(200)).body;
  expect(planned).toMatchObject({
    isEmpty: false,
    gains: [{ user: 'lars', scope: '', permissions: ['orders_view_prices'] }],
    losses: [],
    changes: [{ kind: 'edge_added', role: 'loader', permission: 'orders_view_prices', origin: 'prices' }],
  });
  const { catalogueRevision, losses } = planned;
  const terms = { plan: { catalogueRevision, losses } };
  const applied = (await apply(filesWithLayer, terms).expect(200)).body;
  expect(applied).toMatchObject({ ...planned, changed: true });
  expect((await apply(filesWithLayer, terms).expect(200)).body).toMatchObject({
    changed: false,
    revision: applied.revision,
  });
  expect((await apply([baseline]).expect(409)).body.code).toBe('loss_not_accepted');
  expect((await apply([baseline], terms).expect(409)).body.code).toBe('plan_outdated');
  expect((await apply([baseline], { allowLoss: true }).expect(200)).body.losses).toHaveLength(1);
});

test('the matrix is shown with the origins of every edge', async () => {
  await service.as().put('/roles/loader/permissions/orders.view_prices').expect(200);
  await service.as().delete('/roles/loader/permissions/orders.load_order').expect(200);
  const { body } = await service.as().get('/matrix').expect(200);
  const loader = body.roles.find((role: { key: string }) => role.key === 'loader');
  expect(loader).toMatchObject({
    declaredIn: 'baseline',
    includes: [{ role: 'user', given: true, origins: ['baseline'], withheldBy: [] }],
    permissions: [
      { permission: 'documents_view_document', given: true, origins: ['baseline'], withheldBy: [] },
      { permission: 'orders_load_order', given: false, origins: ['baseline'], withheldBy: ['api'] },
      { permission: 'orders_view_order', given: true, origins: ['baseline'], withheldBy: [] },
      { permission: 'orders_view_prices', given: true, origins: ['api'], withheldBy: [] },
    ],
  });
  expect(body.layers.map(({ id }: { id: string }) => id)).toEqual(['builtin', 'baseline']);
  await service.as().put('/roles/loader/permissions/orders.load_order').expect(200);
  await service.as().delete('/roles/loader/permissions/orders.view_prices').expect(200);
});

test('a typo is answered with file, line and column and the nearest name, and nothing is written (2.6)', async () => {
  const typo = { ...prices, text: prices.text.replace('view_prices', 'veiw_prices') };
  const before = (await service.as().get('/matrix').expect(200)).body.revision;
  for (const answer of [await plan([baseline, typo]), await apply([baseline, typo])]) {
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: 'matrix_invalid',
      errors: [
        {
          pointer: 'layers/prices.yaml:3:17',
          code: 'unknown_permission',
          detail: expect.stringContaining('did you mean "orders.view_prices"?'),
        },
      ],
    });
  }
  expect((await service.as().get('/matrix').expect(200)).body.revision).toBe(before);
});

test('whoever applies needs the permission, and all that is given and taken, or may escalate', async () => {
  const key = await service.keyFor('keeper');
  const asked = async (wanted: number) => {
    expect((await plan(filesWithLayer, {}, key)).status).toBe(wanted);
    return apply(filesWithLayer, {}, key);
  };
  expect((await asked(403)).body.code).toBe('forbidden');
  await service
    .as()
    .put('/users/keeper/permissions/rolecall.manage_matrix')
    .send({ effect: 'allow' })
    .expect(201);
  const beyond = await asked(200);
  expect(beyond.status).toBe(403);
  expect(beyond.body).toMatchObject({
    code: 'exceeds_own_access',
    detail: expect.stringContaining('orders_view_prices'),
  });
  await service
    .as()
    .put('/users/keeper/permissions/orders.view_prices')
    .send({ effect: 'allow' })
    .expect(201);
  expect((await asked(200)).body).toMatchObject({ changed: true });
  await service.as().delete('/users/keeper/permissions/orders.view_prices').expect(200);
  const taking = await apply([baseline], { allowLoss: true }, key);
  expect(taking.body.code).toBe('exceeds_own_access');
  await apply([baseline], { allowLoss: true }).expect(200);
});

test('an Idempotency-Key brings the first answer again', async () => {
  const send = () =>
    service
      .as()
      .post('/matrix/apply')
      .set('idempotency-key', 'matrix-1')
      .send({ files: filesWithLayer, allowLoss: true });
  const first = (await send().expect(200)).body;
  expect(first.changed).toBe(true);
  expect((await send().expect(200)).body).toEqual(first);
});
