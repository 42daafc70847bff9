import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startProvider, type TestProvider } from '../support/identity-provider.ts';
import { startTestService, type TestService } from '../support/service.ts';

let provider: TestProvider;
let service: TestService;
let sql: postgres.Sql;

beforeAll(async () => {
  provider = await startProvider();
  const variables = { ROLECALL_IDENTITY_PROVIDERS: JSON.stringify([provider.settings]) };
  service = await startTestService({ variables });
  sql = postgres(service.database.url, { max: 1 });
});
afterAll(async () => {
  await sql.end();
  await service.close();
  await provider.close();
});

async function set(setting: string, value: unknown, key?: string) {
  const { headers } = await service.as().get(`/settings/${setting}`).expect(200);
  return service
    .as(key)
    .patch(`/settings/${setting}`)
    .set('if-match', String(headers['etag']))
    .send({ value });
}

const me = (subject: string) => service.as(provider.token(subject)).get('/me/permissions');
const ownersOf = (subject: string) => sql<{ id: string }[]>`
  select users.id from rolecall.identities join rolecall.users on users.pk = user_pk where subject = ${subject}`;

test('an identity that nobody has is refused, and makes nobody, unless the setting says so (4.1)', async () => {
  const [before] = await sql`select value from rolecall.revision`;
  expect((await me('stranger')).body).toMatchObject({ status: 401, code: 'unauthenticated' });
  expect(await sql`select value from rolecall.revision`).toEqual([before]);
  expect((await set('create_users_for_identities', true)).status).toBe(200);
  const answer = await me('stranger').expect(200);
  expect(answer.body).toMatchObject({ roles: [], permissions: [] });
  const { body } = await service.as().get(`/users/${answer.body.user}`).expect(200);
  expect(body).toMatchObject({ email: null, active: true });
  expect(body.identities).toEqual([{ issuer: provider.issuer, subject: 'stranger' }]);
});

test('a hundred requests at once, of one identity, make one user with the default role, noted as one change', async () => {
  await set('default_role', 'viewer');
  const answers = await Promise.all(Array.from({ length: 100 }, () => me('herd')));
  expect(new Set(answers.map(({ status, body }) => `${status} ${body.user}`)).size).toBe(1);
  expect(answers[0]?.body).toMatchObject({ roles: ['user', 'viewer'] });
  expect(await ownersOf('herd')).toEqual([{ id: answers[0]?.body.user }]);
  const entries = await sql<{ kind: string; actorKind: string }[]>`
    select kind, actor_kind as "actorKind" from rolecall.journal
    where user_pk = (select user_pk from rolecall.identities where subject = 'herd') order by number`;
  expect(entries.map(({ kind, actorKind }) => `${actorKind} ${kind}`)).toEqual([
    'service user_created',
    'service identity_linked',
    'service grant_set',
  ]);
});

test('a token that does not hold makes nobody', async () => {
  await service
    .as(provider.token('forger', { claims: { aud: 'https://another.example.com' } }))
    .get('/me/permissions')
    .expect(401);
  expect(await ownersOf('forger')).toEqual([]);
});

test('somebody deactivated stays out', async () => {
  const { user } = (await me('leaver').expect(200)).body;
  await service.as().patch(`/users/${user}`).send({ active: false }).expect(200);
  await me('leaver').expect(401);
  expect(await ownersOf('leaver')).toEqual([{ id: user }]);
});

test('whoever lets tokens make users must hold what the default role gives (A-09)', async () => {
  await set('create_users_for_identities', false);
  await set('default_role', 'manager');
  await service.as().post('/users').send({ id: 'setter' }).expect(201);
  await service.as().delete('/users/setter/roles/manager').expect(200);
  for (const permission of ['rolecall_manage_settings', 'rolecall_read_settings'])
    await service.as().put(`/users/setter/permissions/${permission}`).send({ effect: 'allow' }).expect(201);
  const { key } = (await service.as().post('/keys').send({ user: 'setter', name: 'x' }).expect(201)).body;
  expect((await set('create_users_for_identities', true, key)).body.code).toBe('exceeds_own_access');
  await service.as().put('/users/setter/roles/manager').expect(201);
  expect((await set('create_users_for_identities', true, key)).status).toBe(200);
});
