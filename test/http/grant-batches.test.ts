import fc from 'fast-check';
import postgres from 'postgres';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contentsOf } from '../support/contents.ts';
import { expectContract } from '../support/contract.ts';
import { long } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1 });
  await service.as().post('/roles').send({ key: 'granter', name: 'Granter' }).expect(201);
  await service.as().put('/roles/granter/permissions/rolecall_grant_roles').expect(200);
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

interface Change {
  readonly op: 'grant' | 'revoke';
  readonly user: string;
  readonly role: string;
  readonly scope?: string;
  readonly expiresAt?: string;
  readonly startsAt?: string;
}

async function batch(
  mode: 'atomic' | 'each',
  changes: readonly Change[],
  { key, ...headers }: { key?: string; 'idempotency-key'?: string } = {},
  query: object = {},
): Promise<Response> {
  const response = await service
    .as(key)
    .post('/grants/batch')
    .query(query)
    .set(headers as Record<string, string>)
    .send({ mode, changes });
  expectContract(response, 'POST', '/grants/batch');
  return response;
}

let made = 0;

async function newUser(...grants: readonly string[]): Promise<string> {
  const id = `user-${++made}`;
  await service.as().post('/users').send({ id }).expect(201);
  for (const place of grants) await service.as().put(`/users/${id}/roles/${place}`).expect(201);
  return id;
}

const outcomesOf = ({ body }: Response) =>
  body.outcomes.map(({ outcome, code }: Record<string, string>) => code ?? outcome);
const rolesOf = async (id: string) =>
  (await service.as().get(`/users/${id}/roles`).expect(200)).body.data.map(
    ({ role, scope, startsAt, expiresAt }: Record<string, unknown>) => ({ role, scope, startsAt, expiresAt }),
  );
const revisionNow = async () =>
  (await service.as().get('/me/permissions').expect(200)).body.revision as string;
const entriesAt = (revision: string) =>
  sql`select kind, number from rolecall.journal where revision = ${revision.split('-')[1] ?? ''} order by number`;

describe('a batch', () => {
  test('is one revision with an entry for each change, and says what became of each row', async () => {
    const [one, other] = [await newUser('loader'), await newUser('viewer?scope=org')];
    const before = await revisionNow();
    const done = await batch('each', [
      { op: 'grant', user: one, role: 'viewer' },
      { op: 'grant', user: one, role: 'loader', expiresAt: '2090-01-01T00:00:00Z' },
      { op: 'grant', user: other, role: 'viewer', scope: 'org' },
      { op: 'revoke', user: other, role: 'viewer' },
      { op: 'grant', user: 'nobody-at-all', role: 'viewer' },
      { op: 'grant', user: other, role: 'no-such-role' },
    ]);
    expect(outcomesOf(done)).toEqual([
      'created',
      'changed',
      'unchanged',
      'unchanged',
      'unknown_user',
      'unknown_role',
    ]);
    expect(done.body.revision.split('-')[1]).toBe(String(Number(before.split('-')[1]) + 1));
    expect((await entriesAt(done.body.revision)).map(({ kind }) => kind)).toEqual(['grant_set', 'grant_set']);
    expect(await rolesOf(one)).toEqual([
      { role: 'loader', scope: '', startsAt: null, expiresAt: '2090-01-01T00:00:00.000Z' },
      { role: 'viewer', scope: '', startsAt: null, expiresAt: null },
    ]);
    const again = await batch('each', [{ op: 'grant', user: one, role: 'viewer' }]);
    expect(again.body).toMatchObject({ changed: false, revision: done.body.revision });
  });

  test('that is atomic does nothing with one row refused, and names every refused one', async () => {
    const id = await newUser();
    const standing = await contentsOf(sql);
    const refused = await batch('atomic', [
      { op: 'grant', user: id, role: 'viewer' },
      { op: 'grant', user: 'nobody-at-all', role: 'viewer' },
      { op: 'revoke', user: id, role: 'no-such-role' },
    ]);
    expect(refused.body).toMatchObject({
      status: 409,
      code: 'batch_refused',
      errors: [
        { pointer: '/changes/1', code: 'unknown_user' },
        { pointer: '/changes/2', code: 'unknown_role' },
      ],
    });
    expect(await contentsOf(sql)).toEqual(standing);
  });

  test('names each place once', async () => {
    const id = await newUser();
    const twice = [
      { op: 'grant', user: id, role: 'viewer', scope: 'org' },
      { op: 'revoke', user: id, role: 'viewer' },
      { op: 'revoke', user: id, role: 'viewer', scope: 'org' },
    ] as const;
    expect((await batch('each', twice)).body).toMatchObject({
      code: 'invalid_input',
      errors: [{ pointer: '/changes/2' }],
    });
  });

  test('can be asked for again with its Idempotency-Key', async () => {
    const id = await newUser();
    const headers = { 'idempotency-key': `batch-${id}` };
    const first = await batch('each', [{ op: 'grant', user: id, role: 'viewer' }], headers);
    const again = await batch('each', [{ op: 'grant', user: id, role: 'viewer' }], headers);
    expect(again.body).toEqual(first.body);
    expect((await batch('each', [{ op: 'grant', user: id, role: 'loader' }], headers)).body.code).toBe(
      'idempotency_key_reused',
    );
  });

  test('takes 10,000 rows and 8 MiB, and not more', async () => {
    const users = await Promise.all(Array.from({ length: 10 }, () => newUser()));
    const changes = Array.from({ length: 10_000 }, (_, n) => ({
      op: 'grant' as const,
      user: users[n % 10] as string,
      role: 'viewer',
      scope: `org/${'x'.repeat(200)}/${n}`,
    }));
    expect(JSON.stringify(changes).length).toBeGreaterThan(2 ** 20);
    const done = await batch('atomic', changes);
    expect(new Set(outcomesOf(done))).toEqual(new Set(['created']));
    expect(await entriesAt(done.body.revision)).toHaveLength(10_000);
    const gone = await batch(
      'each',
      changes.map((change) => ({ ...change, op: 'revoke' as const })),
    );
    expect(new Set(outcomesOf(gone))).toEqual(new Set(['removed']));
    const more = [...changes, { op: 'grant' as const, user: 'root', role: 'viewer' }];
    expect((await batch('each', more)).status).toBe(400);
    expect((await batch('each', [{ op: 'grant', user: 'x'.repeat(2 ** 23), role: 'viewer' }])).status).toBe(
      413,
    );
  });
});

describe('each row is guarded by itself', () => {
  test('in its own scope, by what its actor holds there', async () => {
    const actor = await newUser('granter?scope=org/acme', 'viewer?scope=org/acme');
    const key = await service.keyFor(actor);
    const id = await newUser('loader?scope=org/acme', 'viewer?scope=org/rival');
    const done = await batch(
      'each',
      [
        { op: 'grant', user: id, role: 'viewer', scope: 'org/acme' },
        { op: 'grant', user: id, role: 'viewer' },
        { op: 'revoke', user: id, role: 'viewer', scope: 'org/rival' },
        { op: 'revoke', user: id, role: 'loader', scope: 'org/acme' },
        { op: 'grant', user: 'nobody-at-all', role: 'viewer', scope: 'org/rival' },
        { op: 'grant', user: 'nobody-at-all', role: 'viewer', scope: 'org/acme' },
      ],
      { key },
    );
    expect(outcomesOf(done)).toEqual([
      'created',
      'forbidden',
      'forbidden',
      'exceeds_own_access',
      'forbidden',
      'unknown_user',
    ]);
  });

  test('by what is left of its actor after the rows before it', async () => {
    const actor = await newUser('granter', 'viewer');
    const key = await service.keyFor(actor);
    const id = await newUser();
    const done = await batch(
      'each',
      [
        { op: 'grant', user: id, role: 'viewer', scope: 'org' },
        { op: 'revoke', user: actor, role: 'viewer' },
        { op: 'grant', user: id, role: 'viewer', scope: 'habits' },
        { op: 'revoke', user: actor, role: 'granter' },
        { op: 'grant', user: id, role: 'granter' },
      ],
      { key },
    );
    expect(outcomesOf(done)).toEqual(['created', 'removed', 'exceeds_own_access', 'removed', 'forbidden']);
  });

  test('so that somebody remains administrator, of each row or of all together (A-12)', async () => {
    const heir = await newUser();
    const handOver = [
      { op: 'revoke', user: 'root', role: 'admin' },
      { op: 'grant', user: heir, role: 'admin' },
    ] as const;
    expect((await batch('atomic', handOver.slice(0, 1))).body.code).toBe('last_administrator');
    expect(outcomesOf(await batch('each', handOver, {}, { dryRun: true }))).toEqual([
      'last_administrator',
      'created',
    ]);
    // Whoever takes their own right to grant away first has none left for the second row.
    expect((await batch('atomic', handOver, {}, { dryRun: true })).body.code).toBe('last_administrator');
    const { headers } = await service.as().get('/users/root/roles');
    const emptied = service.as().put('/users/root/roles').set('if-match', String(headers['etag']));
    expect((await emptied.send({ grants: [] })).body.code).toBe('last_administrator');
    const given = [handOver[1], handOver[0]] as const;
    expect(outcomesOf(await batch('atomic', given, {}, { dryRun: true }))).toEqual(['created', 'removed']);
    await service.as().patch(`/users/${heir}`).send({ active: false }).expect(200);
    expect((await batch('atomic', given, {}, { dryRun: true })).body.code).toBe('last_administrator');
    await service.as().patch(`/users/${heir}`).send({ active: true }).expect(200);
    await service.as().put(`/users/${heir}/permissions/rolecall_check`).send({ effect: 'deny' }).expect(201);
    expect((await batch('atomic', given, {}, { dryRun: true })).body.code).toBe('last_administrator');
  });
});

const places = ['', 'org', 'org/acme'];
const roles = ['viewer', 'loader', 'manager', 'granter', 'admin'];
const row = fc.record({
  op: fc.constantFrom('grant' as const, 'revoke' as const),
  user: fc.constantFrom('actor', 'one', 'other'),
  role: fc.constantFrom(...roles),
  scope: fc.constantFrom(...places),
  ends: fc.boolean(),
});
const held = fc.uniqueArray(fc.tuple(fc.constantFrom(...roles), fc.constantFrom(...places)), {
  selector: ([role, scope]) => `${role} ${scope}`,
  maxLength: 3,
});
const rows = fc.uniqueArray(row, {
  selector: ({ user, role, scope }) => `${user} ${role} ${scope}`,
  minLength: 1,
  maxLength: 6,
});

test(
  'many rows do what as many single calls do, refusals and all',
  async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.record({ actor: held, one: held, other: held }),
        rows,
        async (holdings, changes) => {
          const cast = async () => {
            const ids: Record<string, string> = {};
            for (const [who, grants] of Object.entries(holdings))
              ids[who] = await newUser(
                ...grants.map(([role, scope]) => `${role}?scope=${scope}`),
                ...(who === 'actor' && grants.every(([role, scope]) => role !== 'granter' || scope !== '')
                  ? ['granter']
                  : []),
              );
            return { ids, key: await service.keyFor(String(ids['actor'])) };
          };
          const terms = ({ op, ends }: (typeof changes)[number]) =>
            op === 'grant' && ends ? { expiresAt: '2090-01-01T00:00:00Z' } : {};
          const [many, single] = [await cast(), await cast()];
          const wanted = changes.map(({ ends: _, ...change }, index) => {
            return { ...change, ...terms(changes[index] as never), user: String(many.ids[change.user]) };
          });
          const done = await batch('each', wanted, { key: many.key });
          const outcomes: string[] = [];
          for (const change of changes) {
            const path = `/users/${single.ids[change.user]}/roles/${change.role}?scope=${change.scope}`;
            const as = service.as(single.key);
            const response = await (change.op === 'grant'
              ? as.put(path).send(terms(change))
              : as.delete(path));
            const { status, body } = response;
            const outcome = change.op === 'grant' ? (status === 201 ? 'created' : 'changed') : 'removed';
            outcomes.push(body.code ?? (body.changed ? outcome : 'unchanged'));
          }
          // Without the right to grant anywhere any more, a single call does not even come to be judged.
          expect(done.status === 200 ? outcomesOf(done) : []).toEqual(outcomes);
          for (const outcome of outcomes) seen.add(outcome);
          for (const who of Object.keys(holdings))
            expect(await rolesOf(String(many.ids[who]))).toEqual(await rolesOf(String(single.ids[who])));
        },
      ),
      { numRuns: long ? 2_000 : 8 },
    );
    expect(seen.size).toBeGreaterThan(2);
  },
  long ? 3_600_000 : 120_000,
);

describe("a user's whole set of grants", () => {
  const replace = async (
    id: string,
    grants: readonly object[],
    ifMatch?: string,
    scope = '',
    key?: string,
  ) => {
    const response = await service
      .as(key)
      .put(`/users/${id}/roles`)
      .query({ scope })
      .set(ifMatch === undefined ? {} : { 'if-match': ifMatch })
      .send({ grants });
    expectContract(response, 'PUT', '/users/{user}/roles');
    return response;
  };
  const tagOf = async (id: string, scope = '') =>
    String((await service.as().get(`/users/${id}/roles`).query({ scope })).headers['etag']);

  test('is replaced at a scope and below, and nowhere else', async () => {
    const id = await newUser(
      'viewer',
      'loader?scope=org/acme',
      'viewer?scope=org/acme/billing',
      'loader?scope=org',
    );
    const tag = await tagOf(id, 'org/acme');
    const wanted = [
      { role: 'manager' },
      { role: 'viewer', scope: 'org/acme/billing', reason: 'stays, told why' },
    ];
    const done = await replace(id, wanted, tag, 'org/acme');
    expect(done.body).toMatchObject({
      changed: true,
      gained: expect.arrayContaining(['orders_approve_order']),
    });
    expect((await rolesOf(id)).map(({ role, scope }: Record<string, string>) => `${role} ${scope}`)).toEqual([
      'loader org',
      'manager org/acme',
      'viewer ',
      'viewer org/acme/billing',
    ]);
    expect(done.headers['etag']).toBe(await tagOf(id, 'org/acme'));
    const again = await replace(id, wanted, String(done.headers['etag']), 'org/acme');
    expect(again.body).toMatchObject({ changed: false, gained: [], lost: [] });
  });

  test('needs If-Match with what it was', async () => {
    const id = await newUser('viewer');
    const tag = await tagOf(id);
    expect((await replace(id, [])).status).toBe(428);
    await service.as().put(`/users/${id}/roles/loader`).expect(201);
    expect((await replace(id, [], tag)).body.code).toBe('precondition_failed');
    expect((await replace(id, [], `W/${await tagOf(id)}`)).status).toBe(412);
    expect((await replace(id, [], await tagOf(id))).body).toMatchObject({ changed: true, grants: [] });
    expect((await service.as().get(`/users/${id}/roles`)).headers['etag']).not.toBe(tag);
  });

  test('lies in the scope it is replaced at, each place once', async () => {
    const id = await newUser();
    const tag = await tagOf(id, 'org');
    for (const scope of ['', 'orgs', 'habits'])
      expect((await replace(id, [{ role: 'viewer', scope }], tag, 'org')).body).toMatchObject({
        code: 'invalid_input',
        errors: [{ pointer: '/grants/0/scope' }],
      });
    const twice = [{ role: 'viewer' }, { role: 'viewer', scope: 'org' }];
    expect((await replace(id, twice, tag, 'org')).body.code).toBe('invalid_input');
  });

  test('is guarded as its changes are, and all of them are refused with one', async () => {
    const actor = await newUser('granter?scope=org', 'viewer?scope=org');
    const key = await service.keyFor(actor);
    const id = await newUser('viewer?scope=org/acme', 'loader?scope=org/acme');
    const standing = await rolesOf(id);
    const [tag, all] = [await tagOf(id, 'org'), await tagOf(id)];
    expect((await replace(id, [], tag, 'org', key)).body.code).toBe('exceeds_own_access');
    expect((await replace(id, [{ role: 'viewer' }], all, '', key)).body.code).toBe('forbidden');
    expect(await rolesOf(id)).toEqual(standing);
    const kept = { role: 'loader', scope: 'org/acme' };
    expect((await replace(id, [kept, { role: 'viewer' }], tag, 'org', key)).status).toBe(200);
  });
});
