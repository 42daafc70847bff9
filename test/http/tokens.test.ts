import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ecKey, rsaKey, startProvider, type TestProvider } from '../support/identity-provider.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { attacksOf } from '../support/token-attacks.ts';

let provider: TestProvider;
let other: TestProvider;
let service: TestService;
const curve = ecKey('curve');
const lines: string[] = [];

beforeAll(async () => {
  provider = await startProvider();
  other = await startProvider();
  for (const one of [provider, other]) one.keys = [...one.keys, curve];
  service = await startTestService({
    onLog: (line) => lines.push(line),
    variables: {
      ROLECALL_IDENTITY_PROVIDERS: JSON.stringify([
        provider.settings,
        {
          ...other.settings,
          jwksUrl: `${other.issuer}jwks`,
          tokenType: 'JWT',
          algorithms: ['ES256', 'RS256'],
        },
      ]),
    },
  });
});
afterAll(async () => {
  await service.close();
  await Promise.all([provider.close(), other.close()]);
});

async function newUser(id: string, ...roles: readonly string[]): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const role of roles) await service.as().put(`/users/${id}/roles/${role}`).expect(201);
}

async function link(user: string, { issuer }: TestProvider, subject = user): Promise<void> {
  await service.as().put(`/users/${user}/identities`).send({ issuer, subject }).expect(200);
}

const me = (token: string) => service.as(token).get('/me/permissions');

describe('a user with a token of their own', () => {
  test('is whoever has its issuer and subject among their identities (4.1, 1.9)', async () => {
    await newUser('maria', 'loader');
    await link('maria', provider, 'auth0|1');
    const answer = await me(provider.token('auth0|1')).expect(200);
    expect(answer.body).toMatchObject({ user: 'maria', roles: ['loader', 'user'] });
  });

  test('has several identities, and the same subject of another issuer is somebody else (4.1)', async () => {
    await newUser('two-faces');
    await newUser('twin');
    await link('two-faces', provider, 'same');
    await link('two-faces', other, 'office');
    await link('twin', other, 'same');
    expect((await me(provider.token('same'))).body.user).toBe('two-faces');
    expect((await me(other.token('office', { header: { typ: 'JWT' } }))).body.user).toBe('two-faces');
    expect((await me(other.token('same', { header: { typ: 'JWT' } }))).body.user).toBe('twin');
  });

  test('may do what their roles allow and nothing else, whatever the token claims (A-20, 4.3)', async () => {
    await newUser('claimant');
    await link('claimant', provider);
    const claims = {
      roles: ['admin'],
      role: 'admin',
      is_admin: true,
      scope: 'rolecall_escalate',
      permissions: ['*'],
    };
    const token = provider.token('claimant', { claims: { ...claims, realm_access: { roles: ['admin'] } } });
    expect((await me(token)).body).toMatchObject({ roles: [], permissions: [] });
    expect((await service.as(token).get('/users')).body.code).toBe('forbidden');
    await service.as().put('/users/claimant/roles/admin').expect(201);
    await service.as(token).get('/users').expect(200);
  });

  test('is never found by their e-mail address (4.1)', async () => {
    await service.as().post('/users').send({ id: 'mail', email: 'mail@example.com' }).expect(201);
    const claims = { email: 'mail@example.com', email_verified: true };
    const refused = await me(provider.token('somebody-with-that-mail', { claims }));
    expect(refused.body).toMatchObject({ status: 401, detail: expect.stringContaining('identity') });
  });

  test('changes what they may, and the record says that they did', async () => {
    await newUser('token-admin', 'admin');
    await link('token-admin', provider);
    const as = service.as(provider.token('token-admin'));
    await as.post('/users').send({ id: 'made-by-token' }).expect(201);
    const again = await service
      .as(provider.token('token-admin'))
      .post('/users')
      .set('idempotency-key', 'once')
      .send({ id: 'made-once' });
    const repeated = await service
      .as(provider.token('token-admin', { claims: { jti: 'another' } }))
      .post('/users')
      .set('idempotency-key', 'once')
      .send({ id: 'made-once' });
    expect(repeated.body).toEqual(again.body);
    const { body } = await service.as().get('/journal').query({ actor: 'token-admin', limit: 2 }).expect(200);
    const by = { kind: 'user', user: 'token-admin', key: null, issuer: provider.issuer };
    expect(body.data).toMatchObject([
      { kind: 'user_created', user: 'made-once', actor: by },
      { kind: 'user_created', user: 'made-by-token', actor: by },
    ]);
  });

  test('makes no key for themselves that outlives the token', async () => {
    await newUser('persistent', 'admin');
    await link('persistent', provider);
    const as = () => service.as(provider.token('persistent'));
    expect((await as().post('/keys').send({ user: 'persistent', name: 'x' })).body.code).toBe(
      'exceeds_own_access',
    );
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    await as().post('/keys').send({ user: 'persistent', name: 'x', expiresAt }).expect(201);
  });
});

describe('the end of a token', () => {
  test('comes when the identity is unlinked, and belongs to whoever has it then (A-08)', async () => {
    await newUser('before', 'loader');
    await newUser('after');
    await link('before', provider, 'moving');
    const token = provider.token('moving');
    expect((await me(token)).body.user).toBe('before');
    const identity = { issuer: provider.issuer, subject: 'moving' };
    await service.as().delete('/users/before/identities').send(identity).expect(200);
    await me(token).expect(401);
    await service.as().put('/users/after/identities').send(identity).expect(200);
    expect((await me(token)).body).toMatchObject({ user: 'after', roles: [] });
  });

  test('comes while its user is inactive, and for ever when they are deleted (A-08)', async () => {
    await newUser('paused', 'loader');
    await link('paused', provider);
    const token = provider.token('paused');
    await me(token).expect(200);
    await service.as().patch('/users/paused').send({ active: false }).expect(200);
    await me(token).expect(401);
    await me(provider.token('paused', { claims: { jti: 'fresh' } })).expect(401);
    await service.as().patch('/users/paused').send({ active: true }).expect(200);
    await me(token).expect(200);
    await service.as().delete('/users/paused').expect(200);
    await me(token).expect(401);
    await newUser('paused');
    await me(token).expect(401);
  });

  test('comes at its end and no more than the tolerance later, though it was let in before (A-19)', async () => {
    await newUser('ending');
    await link('ending', provider);
    const now = Math.floor(Date.now() / 1_000);
    await me(provider.token('ending', { claims: { exp: now - 30 } })).expect(200);
    const token = provider.token('ending', { claims: { exp: now - 57 } });
    await me(token).expect(200);
    await expect.poll(async () => (await me(token)).status, { timeout: 15_000 }).toBe(401);
  });
});

describe('whoever has no token that holds (A-17)', () => {
  const subject = 'victim';
  const retired = rsaKey('retired');

  beforeAll(async () => {
    await newUser('victim', 'admin');
    await link('victim', provider);
    await me(provider.token(subject)).expect(200);
  });

  test('is refused with 401 and one line in the log, which says nothing that they chose', async () => {
    const attacks = attacksOf({ provider, other, retired, subject });
    expect(Object.keys(attacks).length).toBeGreaterThan(100);
    for (const [what, token] of Object.entries(attacks)) {
      lines.length = 0;
      const answer = await service.app.inject({
        url: '/users',
        headers: { authorization: `Bearer ${token}` },
      });
      expect([answer.statusCode, answer.json().code], what).toEqual([401, 'unauthenticated']);
      expect(answer.headers['www-authenticate'], what).toMatch(/^Bearer /);
      const said = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'token_refused');
      expect(
        said.map(({ requestId }) => requestId),
        what,
      ).toEqual([answer.headers['x-request-id']]);
      expect(lines.join(''), what).not.toContain('evil');
    }
    await me(provider.token(subject)).expect(200);
  });

  test('gets nothing from the near-equal of a token that was let in (A-19)', async () => {
    const token = provider.token(subject);
    await me(token).expect(200);
    const [header = '', payload = '', signature = ''] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url');
    for (const near of [
      `${header}.${forged}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -2)}AA`,
      `${header}.${payload}.${signature}A`,
      `${header}.${payload}.`,
      token.toLowerCase(),
    ])
      await me(near).expect(401);
    await me(token).expect(200);
  });

  test('gets nothing with the token of one tenant by the ids of another (A-18)', async () => {
    await link('victim', other, 'victim-at-other');
    await newUser('elsewhere');
    await link('elsewhere', other, 'victim');
    const token = other.token('victim', {
      header: { typ: 'JWT' },
      claims: { org: 'victim', tenant: 'victim' },
    });
    expect((await me(token)).body).toMatchObject({ user: 'elsewhere', permissions: [] });
    expect((await service.as(token).get('/users/victim')).status).toBe(403);
  });

  test('gets in with an algorithm of the list of one provider with that one only', async () => {
    await newUser('curved');
    await link('curved', other);
    await me(other.token('curved', { key: curve, header: { typ: 'JWT' } })).expect(200);
    await me(provider.token(subject, { key: curve })).expect(401);
  });
});

test('a service without providers knows no token', async () => {
  const alone = await startTestService();
  const refused = await alone.as(provider.token('victim')).get('/me/permissions');
  expect(refused.body).toMatchObject({ status: 401, detail: 'this API key is not valid' });
  await alone.close();
});
