import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract, operations } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

function post(path: string, body: object | undefined, idempotencyKey: string, key?: string) {
  return service.as(key).post(path).set('idempotency-key', idempotencyKey).send(body);
}

/** A first body and one that differs, for every operation that writes by POST and takes one. */
const writes: Readonly<Record<string, readonly [first: object, other: object]>> = {
  '/users': [{ id: 'ida', email: 'ida@example.com' }, { id: 'ida2' }],
  '/roles': [
    { key: 'idle', name: 'Idle' },
    { key: 'idle', name: 'Idler' },
  ],
  '/permissions': [{ permission: 'idem.one' }, { permission: 'idem.two' }],
  '/permissions/batch': [
    { permissions: [{ permission: 'idem.many' }] },
    { permissions: [{ permission: 'idem.more' }] },
  ],
  '/keys': [
    { user: 'root', name: 'a' },
    { user: 'root', name: 'b' },
  ],
  '/keys/{key}/rotate': [{ overlapSeconds: 60 }, { overlapSeconds: 61 }],
  '/grants/batch': [
    { mode: 'atomic', changes: [{ op: 'grant', user: 'root', role: 'loader' }] },
    { mode: 'atomic', changes: [{ op: 'grant', user: 'root', role: 'viewer' }] },
  ],
  '/mappings': [mappingTo('loader'), mappingTo('viewer')],
};

function mappingTo(role: string): object {
  return { issuer: 'https://login.example.com/', claim: ['groups'], value: 'warehouse', role };
}

/** `eraseUser` takes no body; planning writes nothing; applying is tried beside what it does. */
const elsewhere = ['/users/{user}/erase', '/matrix/plan', '/matrix/apply'];

/** Answers with a secret are kept without it. */
const withSecret = ['/keys', '/keys/{key}/rotate'];

async function urlOf(path: string): Promise<string> {
  if (!path.includes('{key}')) return path;
  const { body } = await service.as().post('/keys').send({ user: 'root', name: 'to be rotated' }).expect(201);
  return path.replace('{key}', body.id);
}

test('every operation that writes by POST is tried here', () => {
  const posts = operations.filter(({ method, tags }) => method === 'POST' && !tags?.includes('Checks'));
  expect([...Object.keys(writes), ...elsewhere].sort()).toEqual(posts.map(({ path }) => path).sort());
});

describe.for(Object.entries(writes))('%s with an Idempotency-Key', ([path, [body, other]]) => {
  test('answers the same to the same, changes once, and refuses another body (D-08)', async () => {
    const url = await urlOf(path);
    const idempotencyKey = `again${path.replace(/[{}]/g, '')}`;
    const first = await post(url, body, idempotencyKey);
    expectContract(first, 'POST', path);
    expect(first.body.changed).toBe(true);
    const again = await post(url, body, idempotencyKey);
    expectContract(again, 'POST', path);
    expect(again.status).toBe(first.status);
    expect(again.body).toEqual(withSecret.includes(path) ? { ...first.body, key: null } : first.body);
    const another = await post(url, other, idempotencyKey);
    expectContract(another, 'POST', path);
    expect(another.body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    // Nothing of the other request was done, and the first answer stands.
    const once = await post(url, body, idempotencyKey);
    expect(once.body.revision).toBe(first.body.revision);
  });
});

test('a user who is erased is erased once, and the second answer is the first (D-08)', async () => {
  await post('/users', { id: 'gone' }, 'gone-1').expect(201);
  const first = await post('/users/gone/erase', undefined, 'gone-2').expect(200);
  expect((await post('/users/gone/erase', undefined, 'gone-2').expect(200)).body).toEqual(first.body);
  await post('/users/gone/erase?dryRun=true', undefined, 'gone-2').expect(422);
});

describe('an Idempotency-Key', () => {
  test('is compared by the bytes of the body and by the whole address', async () => {
    await post('/users', { id: 'bytes', active: true }, 'bytes').expect(201);
    const reordered = await service
      .as()
      .post('/users')
      .set('idempotency-key', 'bytes')
      .type('json')
      .send('{"active":true,"id":"bytes"}');
    expect(reordered.body.code).toBe('idempotency_key_reused');
    expect((await post('/users?dryRun=false', { id: 'bytes', active: true }, 'bytes')).status).toBe(422);
    expect((await post('/roles', { id: 'bytes', active: true }, 'bytes')).status).toBe(400);
  });

  test('belongs to one credential: another uses the same text for itself (A-05)', async () => {
    const key = await service.keyFor('other-admin');
    await service.as().put('/users/other-admin/roles/admin').expect(201);
    const mine = await post('/users', { id: 'mine' }, 'shared');
    const theirs = await post('/users', { id: 'theirs' }, 'shared', key);
    expect([mine.status, theirs.status]).toEqual([201, 201]);
    expect((await post('/users', { id: 'mine' }, 'shared', key)).status).toBe(422);
  });

  test('with the very request of another is no way to what they were told (A-05)', async () => {
    const key = await service.keyFor('eavesdropper');
    const told = await post('/users', { id: 'private' }, 'overheard').expect(201);
    const tried = await post('/users', { id: 'private' }, 'overheard', key);
    expect(tried.body).toMatchObject({ status: 403, code: 'forbidden' });
    await service.as().put('/users/eavesdropper/roles/admin').expect(201);
    const allowed = await post('/users', { id: 'private' }, 'overheard', key);
    expect(allowed.status).toBe(409);
    expect(`${tried.text} ${allowed.text}`).not.toContain(told.body.revision);
  });

  test('sent twenty times at once has one effect and one answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post('/users', { id: 'burst' }, 'burst')),
    );
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
  });

  test('of a request that failed is free for another', async () => {
    await post('/users', { id: 'root' }, 'retry').expect(409);
    await post('/users', { id: 'not-root' }, 'retry').expect(201);
  });

  test('of a dry run keeps nothing', async () => {
    await post('/users?dryRun=true', { id: 'try' }, 'try').expect(201);
    await post('/users', { id: 'try' }, 'try').expect(201);
  });

  test('gives nothing to whoever lost the permission meanwhile', async () => {
    const key = await service.keyFor('fading');
    await service.as().put('/users/fading/roles/admin').expect(201);
    await post('/users', { id: 'faded', email: 'faded@example.com' }, 'fade', key).expect(201);
    await service.as().delete('/users/fading/roles/admin').expect(200);
    const replayed = await post('/users', { id: 'faded', email: 'faded@example.com' }, 'fade', key);
    expect(replayed.body).toMatchObject({ status: 403, code: 'forbidden' });
  });

  test('is kept for a day and then forgotten', async () => {
    await post('/users', { id: 'old' }, 'yesterday').expect(201);
    const sql = postgres(service.database.url, { max: 1 });
    await sql`update rolecall.idempotency set created_at = now() - interval '24 hours 1 second' where key = 'yesterday'`;
    await post('/users', { id: 'new' }, 'yesterday').expect(201);
    const kept = await sql`select count(*)::int as rows from rolecall.idempotency where key = 'yesterday'`;
    await sql.end();
    expect(kept[0]?.['rows']).toBe(1);
  });

  test('of 1 to 128 safe characters is taken; others are refused with their place', async () => {
    await post('/users', { id: 'longest-key' }, 'k'.repeat(128)).expect(201);
    for (const bad of ['k'.repeat(129), 'a b', 'a,b', '"quoted"', 'é', 'a\tb', ' '])
      expect((await post('/users', { id: 'never' }, bad)).body, JSON.stringify(bad)).toMatchObject({
        status: 400,
        code: 'invalid_input',
        errors: [{ pointer: '/header/idempotency-key' }],
      });
  });
});
