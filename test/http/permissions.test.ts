import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectContract } from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

async function register(permission: string, description?: string) {
  const response = await service.as().post('/permissions').send({ permission, description });
  expectContract(response, 'POST', '/permissions');
  return response;
}

async function registerAll(names: readonly string[], key?: string) {
  const permissions = names.map((permission) => ({ permission }));
  const response = await service.as(key).post('/permissions/batch').send({ permissions });
  expectContract(response, 'POST', '/permissions/batch');
  return response;
}

async function read(permission: string) {
  const response = await service.as().get(`/permissions/${permission}`);
  expectContract(response, 'GET', '/permissions/{permission}');
  return response;
}

async function retire(permission: string) {
  const response = await service.as().delete(`/permissions/${permission}`);
  expectContract(response, 'DELETE', '/permissions/{permission}');
  return response;
}

/** Every slug of a resource, retired ones too. */
async function slugsOf(resource: string): Promise<string[]> {
  const slugs: string[] = [];
  let after: string | null = '';
  while (after !== null) {
    const query = { resource, retired: 'true', limit: 200, ...(after ? { after } : {}) };
    const page = await service.as().get('/permissions').query(query);
    expectContract(page, 'GET', '/permissions');
    slugs.push(...page.body.data.map(({ permission }: { permission: string }) => permission));
    after = page.body.nextCursor;
  }
  return slugs;
}

describe('registering a permission', () => {
  test('makes the slug of its two parts, and again changes nothing, in either notation', async () => {
    const made = await register('invoices.approve_invoice', 'Approve an invoice');
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      changed: true,
      permission: {
        permission: 'invoices_approve_invoice',
        resource: 'invoices',
        action: 'approve_invoice',
        description: 'Approve an invoice',
        declaredIn: null,
        retiredAt: null,
      },
    });
    const again = await register('invoices:approve_invoice', 'Something else');
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ changed: false, revision: made.body.revision });
    expect(again.body.permission).toEqual(made.body.permission);
    for (const name of ['invoices.approve_invoice', 'invoices:approve_invoice', 'invoices_approve_invoice'])
      expect((await read(name)).body).toEqual(made.body.permission);
  });

  test('of one the matrix declares leaves it as the matrix has it', async () => {
    const { status, body } = await register('orders.load_order', 'Mine now');
    expect(status).toBe(200);
    expect(body.permission).toMatchObject({
      declaredIn: 'baseline',
      description: expect.stringMatching(/loaded/),
    });
  });

  test('that would share the slug of another is refused, naming both (2.3)', async () => {
    await register('a_b.c');
    const refused = await register('a.b_c');
    expect(refused.body).toMatchObject({ status: 409, code: 'slug_collision' });
    for (const name of ['a_b.c', 'a.b_c', 'a_b_c']) expect(refused.body.detail).toContain(name);
    expect((await read('a_b_c')).body).toMatchObject({ resource: 'a_b', action: 'c' });
  });

  test('of two that share a slug at once makes one and refuses the other', async () => {
    for (let round = 0; round < 10; round += 1) {
      const both = await Promise.all([register(`twin_a.b${round}`), register(`twin.a_b${round}`)]);
      expect(both.map(({ status }) => status).sort()).toEqual([201, 409]);
      expect(both.find(({ status }) => status === 409)?.body.code).toBe('slug_collision');
    }
  });

  test('takes no slug and no wildcard, which do not say where the resource ends', async () => {
    for (const permission of [
      'invoices_pay',
      'invoices.*',
      '*',
      'Invoices.pay',
      'invoices.',
      '.pay',
      'a.b.c',
      '',
    ])
      expect((await register(permission)).body, permission).toMatchObject({
        status: 400,
        errors: [{ pointer: '/permission' }],
      });
    expect((await register(`${'r'.repeat(100)}.${'a'.repeat(100)}`)).status).toBe(201);
    expect((await register(`${'r'.repeat(101)}.a`)).status).toBe(400);
  });

  test('into the reserved resource is refused, and nothing near it is reserved', async () => {
    expect((await register('rolecall.everything')).body).toMatchObject({
      status: 400,
      code: 'invalid_input',
    });
    expect((await register('rolecalls.everything')).status).toBe(201);
  });
});

describe('registering many', () => {
  test('is a union: what is there stays, what is new is added and named', async () => {
    await register('union.first', 'Described before');
    const both = await registerAll(['union.second', 'union:first', 'union.second']);
    expect(both.body).toMatchObject({ changed: true, created: ['union_second'] });
    expect(both.body.permissions.map((one: { permission: string }) => one.permission)).toEqual([
      'union_second',
      'union_first',
      'union_second',
    ]);
    expect((await read('union_first')).body.description).toBe('Described before');
    const again = await registerAll(['union.first', 'union.second']);
    expect(again.body).toMatchObject({ changed: false, created: [], revision: both.body.revision });
  });

  test('by 20 services at once, overlapping and in every order, is the exact union (0.8)', async () => {
    const all = Array.from({ length: 60 }, (_, index) => `fleet.part_${String(index).padStart(2, '0')}`);
    const setOf = (one: number) =>
      Array.from({ length: 30 }, (_, step) => all[(one * 3 + step * 7) % 60] as string);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, one) => registerAll(one % 2 ? setOf(one) : setOf(one).toReversed())),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const wanted = [...new Set(Array.from({ length: 20 }, (_, one) => setOf(one)).flat())];
    expect(await slugsOf('fleet')).toEqual(wanted.map((name) => name.replace('.', '_')).sort());
    // Each was made by exactly one of them.
    const created = answers.flatMap(({ body }) => body.created);
    expect(created.sort()).toEqual(await slugsOf('fleet'));
  });

  test.for([
    ['a name that is none', 'Poison.last'],
    ['a slug that is taken', 'poison_a.b'],
    ['the reserved resource', 'rolecall.poison'],
    ['of an unknown slug', 'poison_nobody'],
    ['of the service itself', 'rolecall_check'],
  ] as const)(
    'creates nothing if the last of 200 is %s, and names the row (0.4)',
    async ([fault, poison]) => {
      await register('poison.a_b');
      const resource = `batch_${fault.replaceAll(' ', '_')}`;
      const names = Array.from({ length: 199 }, (_, index) => `${resource}.part_${index}`);
      const before = (await service.as().get('/me/permissions')).body.revision;
      const refused = await registerAll([...names, poison]);
      expect(refused.status).toBeOneOf([400, 409]);
      expect(await slugsOf(resource)).toEqual([]);
      expect((await service.as().get('/me/permissions')).body.revision).toBe(before);
      expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
        '/permissions/199/permission',
      ]);
    },
  );

  test('of twins in one batch creates neither', async () => {
    const refused = await registerAll(['pair_x.y', 'fine.one', 'pair.x_y']);
    expect(refused.body).toMatchObject({ status: 409, code: 'slug_collision' });
    expect([...(await slugsOf('pair_x')), ...(await slugsOf('pair')), ...(await slugsOf('fine'))]).toEqual(
      [],
    );
  });

  test('names every row at fault, whatever is wrong with it', async () => {
    await register('faulty.a_b');
    const refused = await registerAll(['faulty.fine', 'faulty_a.b', 'faulty_nobody', 'faulty.also_fine']);
    expect(refused.status).toBe(409);
    expect(refused.body.errors).toMatchObject([
      { pointer: '/permissions/1/permission', code: 'slug_collision' },
      { pointer: '/permissions/2/permission', code: 'invalid_value' },
    ]);
    expect(await slugsOf('faulty')).toEqual(['faulty_a_b']);
  });

  test('takes three notations for one permission, in any order (3.4)', async () => {
    const notations = ['three.create_it', 'three:create_it', 'three_create_it'];
    for (const order of [notations, notations.toReversed()]) {
      const { status, body } = await registerAll(order);
      expect(status).toBe(200);
      expect(body.permissions.map((one: { permission: string }) => one.permission)).toEqual(
        Array(3).fill('three_create_it'),
      );
    }
    expect(await slugsOf('three')).toEqual(['three_create_it']);
    expect((await register('three_create_it')).body).toMatchObject({ changed: false });
    await retire('three_create_it');
    expect((await registerAll(['three_create_it'])).body.created).toEqual(['three_create_it']);
    expect((await read('three_create_it')).body).toMatchObject({ resource: 'three', action: 'create_it' });
  });

  test('of one permission twice takes what describes it, in any order, and refuses two descriptions', async () => {
    const sendAll = (permissions: readonly object[]) =>
      service.as().post('/permissions/batch').send({ permissions });
    const said = (permission: string) => [{ permission }, { permission, description: 'Said' }];
    await sendAll(said('ordered.one')).expect(200);
    await sendAll(said('ordered.two').toReversed()).expect(200);
    for (const permission of ['ordered.one', 'ordered.two'])
      expect((await read(permission)).body.description).toBe('Said');
    const both = [
      { permission: 'ordered.twice', description: 'One' },
      { permission: 'ordered:twice', description: 'Other' },
    ];
    for (const turned of [both, both.toReversed()]) {
      const refused = await sendAll(turned);
      expectContract(refused, 'POST', '/permissions/batch');
      expect(refused.body.errors).toMatchObject([{ pointer: '/permissions/1/permission' }]);
    }
    await service.as().get('/permissions/ordered.twice').expect(404);
  });

  test('takes 1 to 1,000', async () => {
    expect((await registerAll([])).body.errors).toMatchObject([{ pointer: '/permissions' }]);
    const most = Array.from({ length: 1_000 }, (_, index) => `bulk.part_${index}`);
    expect((await registerAll(most)).body.created).toHaveLength(1_000);
    expect((await registerAll([...most, 'bulk.more'])).body.errors).toMatchObject([
      { pointer: '/permissions' },
    ]);
  });
});

describe('describing a permission', () => {
  const describeAs = async (permission: string, description: unknown) => {
    const response = await service.as().patch(`/permissions/${permission}`).send({ description });
    expectContract(response, 'PATCH', '/permissions/{permission}');
    return response;
  };

  test('changes what it says, and to the same changes nothing', async () => {
    await register('notes.read');
    const described = await describeAs('notes.read', 'Read notes');
    expect(described.body).toMatchObject({ changed: true, permission: { description: 'Read notes' } });
    expect((await describeAs('notes:read', 'Read notes')).body).toMatchObject({
      changed: false,
      revision: described.body.revision,
    });
    expect((await describeAs('notes.read', null)).body.errors).toMatchObject([{ pointer: '/description' }]);
  });

  test('that the matrix declares, or nobody, is refused', async () => {
    expect((await describeAs('orders.load_order', 'x')).body).toMatchObject({
      status: 409,
      code: 'managed_by_matrix',
    });
    const unknown = await describeAs('orders.load_ordr', 'x');
    expect(unknown.body).toMatchObject({ status: 404, code: 'unknown_permission' });
    expect(unknown.body.didYouMean).toContain('orders_load_order');
  });
});

describe('retiring a permission', () => {
  test('denies it to everybody at once and closes its edges and exceptions', async () => {
    await register('crates.stack');
    await service.as().post('/roles').send({ key: 'stacker', name: 'Stacker' }).expect(201);
    await service.as().put('/roles/stacker/permissions/crates_stack').expect(200);
    await service.as().post('/users').send({ id: 'stan' }).expect(201);
    await service.as().put('/users/stan/roles/stacker').expect(201);
    await service
      .as()
      .put('/users/stan/permissions/crates_stack?scope=org')
      .send({ effect: 'deny' })
      .expect(201);

    const retired = await retire('crates.stack');
    expect(retired.body).toMatchObject({ changed: true, permission: { permission: 'crates_stack' } });
    expect(retired.body.permission.retiredAt).not.toBeNull();
    const question = { user: 'stan', permission: 'crates.stack' };
    expect((await service.as().post('/authorize').send(question)).body.reason).toBe('unknown_permission');
    expect((await service.as().get('/users/stan/exceptions')).body.data).toEqual([]);
    expect((await service.as().get('/roles/stacker/permissions')).body.permissions).toEqual([]);
    expect((await retire('crates.stack')).body).toMatchObject({
      changed: false,
      revision: retired.body.revision,
    });
  });

  test('reserves the slug: twins stay refused, the same pair revives it without its edges (2.10)', async () => {
    await register('old_x.y', 'Before');
    await service.as().post('/roles').send({ key: 'keeper', name: 'Keeper' }).expect(201);
    await service.as().put('/roles/keeper/permissions/old_x_y').expect(200);
    await retire('old_x.y');
    expect((await register('old.x_y')).body).toMatchObject({ status: 409, code: 'slug_collision' });
    const revived = await register('old_x.y', 'After');
    expect(revived.status).toBe(201);
    expect(revived.body).toMatchObject({
      changed: true,
      permission: { retiredAt: null, description: 'After' },
    });
    expect((await service.as().get('/roles/keeper/permissions')).body.permissions).toEqual([]);
  });

  test('hides it from the list unless asked for, not from who asks by name', async () => {
    for (const name of ['hidden.a', 'hidden.b']) await register(name);
    await retire('hidden.a');
    const shown = await service.as().get('/permissions?resource=hidden').expect(200);
    expect(shown.body.data).toMatchObject([{ permission: 'hidden_b' }]);
    expect(await slugsOf('hidden')).toEqual(['hidden_a', 'hidden_b']);
    expect((await read('hidden.a')).body.retiredAt).not.toBeNull();
  });

  test('that the matrix declares, or the service itself, or nobody, is refused', async () => {
    for (const name of ['orders.load_order', 'rolecall.check', 'rolecall.escalate'])
      expect((await retire(name)).body).toMatchObject({ status: 409, code: 'managed_by_matrix' });
    expect((await retire('never.heard_of')).body).toMatchObject({ status: 404, code: 'unknown_permission' });
  });
});

describe('the catalogue', () => {
  test('is sorted by slug, whole over pages of any size, and its cursor is bound to the filters', async () => {
    const slugs: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await service
        .as()
        .get('/permissions')
        .query({ limit: 7, resource: 'orders', ...(after ? { after } : {}) });
      slugs.push(...page.body.data.map(({ permission }: { permission: string }) => permission));
      after = page.body.nextCursor;
      if (after) {
        const foreign = await service.as().get('/permissions').query({ limit: 7, after });
        expect(foreign.body).toMatchObject({ status: 400, code: 'invalid_cursor' });
      }
    }
    expect(slugs).toEqual((await slugsOf('orders')).sort());
    expect(slugs.length).toBeGreaterThan(7);
  });

  test('never holds two permissions of one slug, whoever writes to it', async () => {
    const sql = postgres(service.database.url, { max: 1 });
    await register('deep_a.b');
    const twin = sql`insert into rolecall.permissions (resource, action) values ('deep', 'a_b')`;
    await expect(twin).rejects.toMatchObject({ code: '23505', constraint_name: 'permissions_slug_key' });
    await sql.end();
  });
});
