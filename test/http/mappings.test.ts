import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startProvider, type TestProvider } from '../support/identity-provider.ts';
import { startTestService, type TestService } from '../support/service.ts';

let provider: TestProvider;
let other: TestProvider;
let service: TestService;
let sql: postgres.Sql;

beforeAll(async () => {
  [provider, other] = await Promise.all([startProvider(), startProvider()]);
  const variables = { ROLECALL_IDENTITY_PROVIDERS: JSON.stringify([provider.settings, other.settings]) };
  service = await startTestService({ variables });
  sql = postgres(service.database.url, { max: 1 });
  // Tokens of the tests are older than the tests.
  for (const { issuer } of [provider, other]) await map({ issuer, value: 'long mapped' });
  await sql`update rolecall.mappings set created_at = created_at - interval '2 days'`;
});
afterAll(async () => {
  await sql.end();
  await service.close();
  await Promise.all([provider.close(), other.close()]);
});

async function newUser(id: string, ...providers: readonly TestProvider[]): Promise<void> {
  await service.as().post('/users').send({ id }).expect(201);
  for (const { issuer } of providers)
    await service.as().put(`/users/${id}/identities`).send({ issuer, subject: id }).expect(200);
}

async function map(body: object, key?: string, query = '') {
  const rule = { issuer: provider.issuer, claim: ['groups'], role: 'loader', ...body };
  const response = await service.as(key).post(`/mappings${query}`).send(rule);
  expectContract(response, 'POST', '/mappings');
  return response;
}

async function unmap(id: string, key?: string) {
  const response = await service.as(key).delete(`/mappings/${id}`);
  expectContract(response, 'DELETE', '/mappings/{mapping}');
  return response;
}

const second = () => Math.floor(Date.now() / 1_000);
let issued = 0;
/** A token that is later than every one before it. */
const tokenOf = (from: TestProvider, subject: string, claims: object, iat = second() + ++issued - 100) =>
  from.token(subject, { claims: { iat, ...claims } });

async function rolesBy(token: string, scope = '') {
  const { body } = await service.as(token).get('/me/permissions').query({ scope }).expect(200);
  return body.roles;
}

async function grantsOf(user: string) {
  const { body } = await service.as().get(`/users/${user}/roles`).expect(200);
  return body.data;
}

const revision = async () => (await sql<{ value: string }[]>`select value from rolecall.revision`)[0]?.value;

async function waitsForLock(on: postgres.TransactionSql): Promise<boolean> {
  const [row] = await on<[{ waits: boolean }]>`
    select exists (select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock') as waits`;
  return row.waits;
}

describe('a mapping', () => {
  test('is as old as its turn, though it was asked for before: tokens that came meanwhile are older', async () => {
    let released = 0;
    const making = await sql.begin(async (holding) => {
      await holding`select from rolecall.revision for update`;
      const made = map({ value: 'waiting' });
      await expect.poll(() => waitsForLock(holding)).toBe(true);
      released = Date.now();
      return { made };
    });
    expect(Date.parse((await making.made).body.mapping.createdAt)).toBeGreaterThanOrEqual(released);
  });

  test('gives again what it gave, with the same token, where the identity is linked anew', async () => {
    await map({ value: 'again' });
    await newUser('returning', provider);
    const earlier = tokenOf(provider, 'returning', {});
    const token = tokenOf(provider, 'returning', { groups: ['again'] });
    expect(await rolesBy(token)).toContain('loader');
    const identity = { issuer: provider.issuer, subject: 'returning' };
    await service.as().delete('/users/returning/identities').send(identity).expect(200);
    expect(await grantsOf('returning')).toEqual([]);
    await service.as().put('/users/returning/identities').send(identity).expect(200);
    // Of the new link nothing was applied yet, though this process knows the later token.
    expect(await rolesBy(earlier)).not.toContain('loader');
    expect(await rolesBy(token)).toContain('loader');
  });

  test('gives its role, where it says, to whoever has exactly the value at exactly the place (A-20)', async () => {
    await map({ claim: ['realm_access', 'roles'], value: 'exactly', scope: 'warehouse/north' });
    const cases: readonly (readonly [object, boolean])[] = [
      [{ realm_access: { roles: ['other', 'exactly'] } }, true],
      [{ realm_access: { roles: 'exactly' } }, true],
      [{ realm_access: { roles: ['Exactly', 'exactly ', 'exactl', 'exactlyy', '.*', 'ex*'] } }, false],
      [{ realm_access: { roles: [['exactly']] } }, false],
      [{ realm_access: { roles: { exactly: true } } }, false],
      [{ realm_access: [{ roles: 'exactly' }] }, false],
      [{ 'realm_access.roles': 'exactly', roles: ['exactly'], groups: ['exactly'] }, false],
      [{ realm_access: { roles: ['exactly'], constructor: 'exactly' } }, true],
      [{}, false],
    ];
    for (const [index, [claims, isGiven]] of cases.entries()) {
      await newUser(`exact-${index}`, provider);
      const token = tokenOf(provider, `exact-${index}`, claims);
      expect(await rolesBy(token, 'warehouse/north'), JSON.stringify(claims)).toEqual(
        isGiven ? ['loader', 'user'] : [],
      );
      expect(await rolesBy(token)).toEqual([]);
    }
    await newUser('foreigner', other);
    const foreign = tokenOf(other, 'foreigner', { realm_access: { roles: ['exactly'] } });
    expect(await rolesBy(foreign, 'warehouse/north')).toEqual([]);
  });

  test('is made once, listed, and gone at once with what it gave', async () => {
    const made = await map({ value: 'brief' });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      changed: true,
      mapping: { role: 'loader', scope: '', value: 'brief' },
    });
    const again = await map({ value: 'brief' });
    expect([again.status, again.body.changed, again.body.mapping]).toEqual([200, false, made.body.mapping]);
    const listed = await service.as().get('/mappings').query({ issuer: provider.issuer }).expect(200);
    expectContract(listed, 'GET', '/mappings');
    expect(listed.body.data).toContainEqual(made.body.mapping);
    await newUser('brief', provider);
    const token = tokenOf(provider, 'brief', { groups: ['brief'] });
    expect(await rolesBy(token)).toEqual(['loader', 'user']);
    const gone = await unmap(made.body.mapping.id);
    expect(gone.body).toMatchObject({ changed: true, mapping: made.body.mapping });
    expect(await rolesBy(token)).toEqual([]);
    expect((await unmap(made.body.mapping.id)).body).toMatchObject({ status: 404, code: 'unknown_mapping' });
  });

  test('is refused with anything in it that is not exact', async () => {
    for (const fault of [
      { value: '' },
      { value: ['a'] },
      { value: 1 },
      { value: 'x'.repeat(201) },
      { claim: [] },
      { claim: 'groups' },
      { claim: ['a', 'b', 'c', 'd', 'e', 'f'] },
      { claim: ['x'.repeat(150), 'x'.repeat(51)] },
      { issuer: '' },
      { issuer: 'a b' },
      { pattern: '.*' },
      { role: 'no such role' },
    ])
      expect((await map({ value: 'x', ...fault })).status, JSON.stringify(fault)).toBe(400);
    expect((await map({ value: 'x', role: 'laoder' })).body).toMatchObject({
      status: 404,
      code: 'unknown_role',
    });
  });

  test('is guarded as giving and taking its role, for good (A-09)', async () => {
    await newUser('mapper');
    for (const slug of ['rolecall_manage_mappings', 'rolecall_read_mappings'])
      await service.as().put(`/users/mapper/permissions/${slug}`).send({ effect: 'allow' }).expect(201);
    const { key } = (await service.as().post('/keys').send({ user: 'mapper', name: 'x' }).expect(201)).body;
    const admin = await map({ value: 'guarded', role: 'admin' }, key);
    expect(admin.body).toMatchObject({ status: 403, code: 'exceeds_own_access' });
    expect((await map({ value: 'guarded' }, key)).body.code).toBe('exceeds_own_access');
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    await service.as().put('/users/mapper/roles/loader').send({ expiresAt: tomorrow }).expect(201);
    expect((await map({ value: 'guarded' }, key)).body.code).toBe('exceeds_own_access');
    await service.as().put('/users/mapper/roles/loader').send({}).expect(200);
    const mine = await map({ value: 'guarded' }, key);
    expect(mine.status).toBe(201);
    const theirs = await map({ value: 'guarded', role: 'accountant' });
    expect((await unmap(theirs.body.mapping.id, key)).body.code).toBe('exceeds_own_access');
    expect((await unmap(mine.body.mapping.id, key)).status).toBe(200);
  });

  test('is noted when it is made and when it ends, as what it gives is', async () => {
    const { body } = await map({ value: 'noted' });
    await newUser('noted', provider);
    await rolesBy(tokenOf(provider, 'noted', { groups: 'noted' }));
    await unmap(body.mapping.id);
    const entries = await sql<{ said: string }[]>`
      select concat_ws(' ', actor_kind, kind, after ->> 'origin', before ->> 'origin') as said from rolecall.journal
      where revision > (select max(revision) from rolecall.journal where after ->> 'mapping' = ${body.mapping.id}) - 1
      order by revision, number`;
    expect(entries.map(({ said }) => said)).toEqual([
      'user mapping_created',
      'user user_created',
      'user identity_linked',
      'service grant_set claim',
      'user mapping_removed',
      'user grant_removed claim',
    ]);
  });

  test('goes with its role', async () => {
    await service.as().post('/roles').send({ key: 'fleeting', name: 'Fleeting' }).expect(201);
    const { body } = await map({ value: 'fleeting', role: 'fleeting' });
    await newUser('fleeting', provider);
    expect(await rolesBy(tokenOf(provider, 'fleeting', { groups: 'fleeting' }))).toEqual(['fleeting']);
    await service.as().delete('/roles/fleeting').expect(200);
    expect(await grantsOf('fleeting')).toEqual([]);
    expect((await unmap(body.mapping.id)).status).toBe(404);
  });

  test('tried out is not kept', async () => {
    expect((await map({ value: 'tried' }, undefined, '?dryRun=true')).body.dryRun).toBe(true);
    await newUser('tried', provider);
    expect(await rolesBy(tokenOf(provider, 'tried', { groups: 'tried' }))).toEqual([]);
  });
});

describe('what claims give', () => {
  beforeAll(async () => {
    await map({ value: 'staff' });
    await map({ issuer: other.issuer, value: 'staff' });
    await map({ value: 'office', role: 'viewer' });
  });

  test('is a grant of origin claim, which lapses at an age after the token was issued', async () => {
    await newUser('worker', provider);
    const iat = second() - 50;
    await rolesBy(tokenOf(provider, 'worker', { groups: ['staff'] }, iat));
    const expiresAt = new Date((iat + 24 * 3_600) * 1_000).toISOString();
    expect(await grantsOf('worker')).toMatchObject([
      { role: 'loader', origin: 'claim', scope: '', expiresAt },
    ]);
  });

  test('ends by itself, though the token goes on', async () => {
    await newUser('lapsing', provider);
    const iat = second() - 24 * 3_600 + 4;
    const token = tokenOf(provider, 'lapsing', { groups: ['staff'] }, iat);
    expect(await rolesBy(token)).toEqual(['loader', 'user']);
    await expect.poll(() => rolesBy(token), { timeout: 20_000 }).toEqual([]);
  });

  test('is changed by a token that was issued later than the last one, and by no other', async () => {
    await newUser('moving', provider);
    const at = second() - 60;
    const [older, newer] = [at, at + 10];
    const staff = tokenOf(provider, 'moving', { groups: ['staff', 'office'] }, newer);
    expect(await rolesBy(staff)).toEqual(['loader', 'user', 'viewer']);
    const before = await revision();
    expect(await rolesBy(tokenOf(provider, 'moving', { groups: [] }, older))).toEqual([
      'loader',
      'user',
      'viewer',
    ]);
    expect(await rolesBy(tokenOf(provider, 'moving', { groups: [], jti: 'same' }, newer))).toHaveLength(3);
    expect(await revision()).toBe(before);
    expect(await rolesBy(tokenOf(provider, 'moving', { groups: ['office'] }, newer + 10))).toEqual([
      'user',
      'viewer',
    ]);
    // The one before is known to have been applied, and is not applied again.
    expect(await rolesBy(staff)).toEqual(['user', 'viewer']);
    expect(await rolesBy(tokenOf(provider, 'moving', {}, newer + 20))).toEqual([]);
  });

  test('is no change as long as tokens say the same, however many there are', async () => {
    await newUser('steady', provider);
    await rolesBy(tokenOf(provider, 'steady', { groups: ['staff'] }, second() - 60));
    const before = await revision();
    for (let one = 1; one <= 10; one += 1)
      await rolesBy(tokenOf(provider, 'steady', { groups: ['staff'] }, second() - 60 + one));
    expect(await revision()).toBe(before);
  });

  test('of two identities stands as long as one of them gives it', async () => {
    await newUser('double', provider, other);
    const at = second() - 60;
    const here = tokenOf(provider, 'double', { groups: ['staff'] }, at);
    await rolesBy(here);
    expect(await rolesBy(tokenOf(other, 'double', { groups: ['staff'] }, at))).toEqual(['loader', 'user']);
    expect(await rolesBy(tokenOf(other, 'double', { groups: [] }, at + 5))).toEqual(['loader', 'user']);
    await rolesBy(tokenOf(other, 'double', { groups: ['staff'] }, at + 10));
    const identity = { issuer: other.issuer, subject: 'double' };
    await service.as().delete('/users/double/identities').send(identity).expect(200);
    expect(await rolesBy(here)).toEqual(['loader', 'user']);
    expect(await rolesBy(tokenOf(provider, 'double', {}, at + 15))).toEqual([]);
  });

  test('goes with the identity that gave it, and stands beside what was granted', async () => {
    await newUser('leaving', provider);
    await rolesBy(tokenOf(provider, 'leaving', { groups: ['staff', 'office'] }));
    await service.as().put('/users/leaving/roles/loader').expect(201);
    const identity = { issuer: provider.issuer, subject: 'leaving' };
    await service.as().delete('/users/leaving/identities').send(identity).expect(200);
    expect(await grantsOf('leaving')).toMatchObject([{ role: 'loader', origin: 'api' }]);
    await newUser('deleted', provider);
    await rolesBy(tokenOf(provider, 'deleted', { groups: ['staff'] }));
    await service.as().delete('/users/deleted').expect(200);
  });

  test('is given once to a hundred requests at once', async () => {
    await newUser('crowd', provider);
    const token = tokenOf(provider, 'crowd', { groups: ['staff'] });
    const answers = await Promise.all(Array.from({ length: 100 }, () => rolesBy(token)));
    expect(new Set(answers.map(String))).toEqual(new Set(['loader,user']));
    const entries = await sql`select 1 from rolecall.journal where kind = 'grant_set'
      and user_pk = (select pk from rolecall.users where id = 'crowd')`;
    expect(entries).toHaveLength(1);
  });

  test('is not taken away by the routes, which keep to what was granted through them', async () => {
    await newUser('fixed', provider);
    const token = tokenOf(provider, 'fixed', { groups: ['staff'] });
    await rolesBy(token);
    await service.as().delete('/users/fixed/roles/loader').expect(200);
    expect(await rolesBy(token)).toEqual(['loader', 'user']);
  });
});

test('a token from before its issuer had any mapping is not noted, and never counts: a newer one may have said less', async () => {
  const unmapped = await startProvider();
  const variables = { ROLECALL_IDENTITY_PROVIDERS: JSON.stringify([unmapped.settings]) };
  const alone = await startTestService({ variables });
  const rolesOf = async (token: string) =>
    (await alone.as(token).get('/me/permissions').expect(200)).body.roles;
  try {
    const identity = { issuer: unmapped.issuer, subject: 'early' };
    await alone.as().post('/users').send({ id: 'early' }).expect(201);
    await alone.as().put('/users/early/identities').send(identity).expect(200);
    const now = second();
    const newer = tokenOf(unmapped, 'early', {}, now - 10);
    expect(await rolesOf(newer)).toEqual([]);
    const reading = postgres(alone.database.url, { max: 1 });
    expect(await reading`select claims_issued_at from rolecall.identities`).toEqual([
      { claims_issued_at: null },
    ]);
    await reading.end();
    const rule = { issuer: unmapped.issuer, claim: ['groups'], value: 'staff', role: 'loader' };
    await alone.as().post('/mappings').send(rule).expect(201);
    const older = tokenOf(unmapped, 'early', { groups: ['staff'] }, now - 100);
    expect(await rolesOf(older)).toEqual([]);
    expect(await rolesOf(newer)).toEqual([]);
    expect(await rolesOf(tokenOf(unmapped, 'early', { groups: ['staff'] }, second()))).toEqual([
      'loader',
      'user',
    ]);
  } finally {
    await alone.close();
    await unmapped.close();
  }
});
