import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RoleKey, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { openTestRuntime } from '../support/runtime.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;

/** Every permission of the service itself but the one to escalate. */
const officePermissions = [
  ...[
    'check',
    'read_users',
    'manage_users',
    'grant_roles',
    'grant_permissions',
    'read_roles',
    'manage_roles',
  ],
  ...['read_permissions', 'manage_permissions', 'read_keys', 'manage_keys'],
].map((action) => `rolecall_${action}`);

beforeAll(async () => {
  service = await startTestService();
  await newRole('office', ...officePermissions);
  await newRole('escalator', 'rolecall_escalate');
  await newRole('prices', 'orders_view_prices');
});
afterAll(() => service.close());

let made = 0;

async function newRole(key: string, ...permissions: readonly string[]): Promise<string> {
  await service.as().post('/roles').send({ key, name: key }).expect(201);
  for (const permission of permissions)
    await service.as().put(`/roles/${key}/permissions/${permission}`).expect(200);
  return key;
}

async function newUser(...grants: readonly string[]): Promise<string> {
  made += 1;
  const id = `user-${made}`;
  await service.as().post('/users').send({ id }).expect(201);
  for (const grant of grants) await service.as().put(`/users/${id}/roles/${grant}`).expect(201);
  return id;
}

/** Somebody who may use every route, and holds these grants besides. */
async function actor(...grants: readonly string[]): Promise<{ id: string; key: string }> {
  const id = await newUser('office', ...grants);
  return { id, key: await service.keyFor(id) };
}

async function deny(user: string, place: string): Promise<void> {
  await service.as().put(`/users/${user}/permissions/${place}`).send({ effect: 'deny' }).expect(201);
}

function expectRefused(response: Response, ...slugs: readonly string[]): void {
  expect(response.body).toMatchObject({ status: 403, code: 'exceeds_own_access' });
  for (const slug of slugs) expect(response.body.detail).toContain(slug);
}

function expectDone(response: Response): void {
  expect(response.status, response.text).toBeOneOf([200, 201]);
}

/** Every way to give somebody `orders_view_prices`, or to take it from them: a write that does it. */
const doors: Readonly<Record<string, () => Promise<(key: string) => PromiseLike<Response>>>> = {
  'granting a role': async () => {
    const user = await newUser();
    return (key) => service.as(key).put(`/users/${user}/roles/prices`);
  },
  'revoking a role': async () => {
    const user = await newUser('prices');
    return (key) => service.as(key).delete(`/users/${user}/roles/prices`);
  },
  'shortening a grant': async () => {
    const user = await newUser('prices');
    return (key) =>
      service.as(key).put(`/users/${user}/roles/prices`).send({ expiresAt: '2090-01-01T00:00:00Z' });
  },
  'an exception that allows': async () => {
    const user = await newUser();
    return (key) =>
      service.as(key).put(`/users/${user}/permissions/orders_view_prices`).send({ effect: 'allow' });
  },
  'an exception that denies': async () => {
    const user = await newUser('prices');
    return (key) =>
      service.as(key).put(`/users/${user}/permissions/orders_view_prices`).send({ effect: 'deny' });
  },
  'lifting an exception that denies': async () => {
    const user = await newUser('prices');
    await deny(user, 'orders_view_prices');
    return (key) => service.as(key).delete(`/users/${user}/permissions/orders_view_prices`);
  },
  'turning an exception that denies into one that has ended': async () => {
    const user = await newUser('prices');
    await deny(user, 'orders_view_prices');
    const over = { effect: 'deny', startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    return (key) => service.as(key).put(`/users/${user}/permissions/orders_view_prices`).send(over);
  },
  'an edge of a role': async () => {
    const role = await newRole(`gives-${++made}`);
    return (key) => service.as(key).put(`/roles/${role}/permissions/orders_view_prices`);
  },
  'taking an edge from a role': async () => {
    const role = await newRole(`gave-${++made}`, 'orders_view_prices');
    return (key) => service.as(key).delete(`/roles/${role}/permissions/orders_view_prices`);
  },
  'replacing the edges of a role by more': async () => {
    const role = await newRole(`filled-${++made}`);
    const { headers } = await service.as().get(`/roles/${role}/permissions`);
    const body = { permissions: ['orders.view_prices'] };
    return (key) =>
      service.as(key).put(`/roles/${role}/permissions`).set('if-match', String(headers['etag'])).send(body);
  },
  'replacing the edges of a role by fewer': async () => {
    const role = await newRole(`emptied-${++made}`, 'orders_view_prices');
    const { headers } = await service.as().get(`/roles/${role}/permissions`);
    const ifMatch = String(headers['etag']);
    return (key) =>
      service.as(key).put(`/roles/${role}/permissions`).set('if-match', ifMatch).send({ permissions: [] });
  },
  'including a role': async () => {
    const role = await newRole(`includes-${++made}`);
    return (key) => service.as(key).put(`/roles/${role}/includes/prices`);
  },
  'including a role that includes it': async () => {
    const between = await newRole(`between-${++made}`);
    await service.as().put(`/roles/${between}/includes/prices`).expect(200);
    const role = await newRole(`over-${++made}`);
    return (key) => service.as(key).put(`/roles/${role}/includes/${between}`);
  },
  'no longer including a role': async () => {
    const role = await newRole(`included-${++made}`);
    await service.as().put(`/roles/${role}/includes/prices`).expect(200);
    return (key) => service.as(key).delete(`/roles/${role}/includes/prices`);
  },
  'deleting a role': async () => {
    const role = await newRole(`deleted-${++made}`, 'orders_view_prices');
    return (key) => service.as(key).delete(`/roles/${role}`);
  },
  'making a key': async () => {
    const user = await newUser('prices');
    return (key) =>
      service
        .as(key)
        .post('/keys')
        .send({ user, name: 'x', permissions: ['orders.view_prices'] });
  },
  'making a key with it for somebody who lacks it yet': async () => {
    const user = await newUser();
    const body = { user, name: 'x', permissions: ['orders.view_prices'] };
    return (key) => service.as(key).post('/keys').send(body);
  },
  'rotating a key': async () => {
    const user = await newUser('prices');
    const terms = { user, name: 'x', permissions: ['orders.view_prices'] };
    const { body } = await service.as().post('/keys').send(terms).expect(201);
    return (key) => service.as(key).post(`/keys/${body.id}/rotate`);
  },
  'revoking a key': async () => {
    const user = await newUser('prices');
    const { body } = await service.as().post('/keys').send({ user, name: 'x' }).expect(201);
    return (key) => service.as(key).delete(`/keys/${body.id}`);
  },
  'linking an identity': async () => {
    const user = await newUser('prices');
    return (key) => service.as(key).put(`/users/${user}/identities`).send({ issuer: 'idp', subject: user });
  },
  'unlinking an identity': async () => {
    const user = await newUser('prices');
    await service.as().put(`/users/${user}/identities`).send({ issuer: 'idp', subject: user }).expect(200);
    return (key) =>
      service.as(key).delete(`/users/${user}/identities`).send({ issuer: 'idp', subject: user });
  },
  'reactivating a user': async () => {
    const user = await newUser('prices');
    await service.as().patch(`/users/${user}`).send({ active: false }).expect(200);
    return (key) => service.as(key).patch(`/users/${user}`).send({ active: true });
  },
  'deactivating a user': async () => {
    const user = await newUser('prices');
    return (key) => service.as(key).patch(`/users/${user}`).send({ active: false });
  },
  'deleting a user': async () => {
    const user = await newUser('prices');
    return (key) => service.as(key).delete(`/users/${user}`);
  },
  'deleting a user who is denied it, and could be made anew without that': async () => {
    const user = await newUser();
    await deny(user, 'orders_view_prices');
    return (key) => service.as(key).delete(`/users/${user}`);
  },
};

describe.for(Object.entries(doors))('%s', ([, open]) => {
  test('needs holding what it gives or takes, or escalating', async () => {
    const write = await open();
    const { key: without } = await actor('loader');
    expectRefused(await write(without), 'orders_view_prices');
    const { key: holding } = await actor('prices');
    expectDone(await write(holding));
  });

  test('can be done by whoever may escalate', async () => {
    const { key } = await actor('escalator');
    expectDone(await (await open())(key));
  });

  test('cannot be done by a key that is narrowed beside it', async () => {
    const { id } = await actor('prices', 'escalator');
    const keyOf = async (...permissions: string[]) =>
      (await service.as().post('/keys').send({ user: id, name: 'x', permissions }).expect(201)).body.key;
    const write = await open();
    expectRefused(await write(await keyOf(...officePermissions)), 'orders_view_prices');
    expectDone(await write(await keyOf(...officePermissions, 'orders_view_prices')));
  });
});

describe('a permission that is retired', () => {
  test('is taken from all: whoever retires it holds it', async () => {
    await service.as().post('/permissions').send({ permission: 'crates.stack' }).expect(201);
    await newRole('stacker', 'crates_stack');
    const { key: without } = await actor();
    expectRefused(await service.as(without).delete('/permissions/crates_stack'), 'crates_stack');
    const { key: holding } = await actor('stacker');
    expectDone(await service.as(holding).delete('/permissions/crates_stack'));
  });
});

describe('how long', () => {
  const grant = (key: string, user: string, terms: object) =>
    service.as(key).put(`/users/${user}/roles/prices`).send(terms);
  const until = (year: number) => `${year}-01-01T00:00:00Z`;

  async function holding(...windows: readonly (readonly [from: number | null, to: number | null])[]) {
    const { id, key } = await actor();
    for (const [index, [from, to]] of windows.entries()) {
      const role = await newRole(`window-${++made}-${index}`, 'orders_view_prices');
      const terms = { startsAt: from && until(from), expiresAt: to && until(to) };
      await service.as().put(`/users/${id}/roles/${role}`).send(terms).expect(201);
    }
    return key;
  }

  test('nobody gives for longer than they hold', async () => {
    const key = await holding([null, 2090]);
    expectRefused(await grant(key, await newUser(), {}));
    expectRefused(await grant(key, await newUser(), { expiresAt: until(2091) }));
    expectRefused(
      await grant(key, await newUser(), { startsAt: until(2089), expiresAt: '2090-01-01T00:00:00.001Z' }),
    );
    expectDone(await grant(key, await newUser(), { expiresAt: until(2090) }));
    expectDone(await grant(key, await newUser(), { startsAt: until(2089), expiresAt: until(2090) }));
  });

  test('nor sooner', async () => {
    const key = await holding([2080, null]);
    expectRefused(await grant(key, await newUser(), {}));
    expectRefused(await grant(key, await newUser(), { startsAt: until(2079) }));
    expectDone(await grant(key, await newUser(), { startsAt: until(2080) }));
  });

  test('windows that meet count as one, those with a gap do not', async () => {
    const meeting = await holding([null, 2085], [2085, null]);
    expectDone(await grant(meeting, await newUser(), {}));
    const apart = await holding([null, 2085], [2086, null]);
    expectRefused(await grant(apart, await newUser(), {}));
    expectDone(await grant(apart, await newUser(), { startsAt: until(2086) }));
  });

  test('nor an exception, a key or a grant that already lasts longer', async () => {
    const key = await holding([null, 2090]);
    const user = await newUser('prices');
    expectRefused(await grant(key, user, { expiresAt: until(2089) }));
    expectRefused(await service.as(key).post('/keys').send({ user, name: 'x' }));
    const place = `/users/${await newUser()}/permissions/orders_view_prices`;
    expectRefused(await service.as(key).put(place).send({ effect: 'allow' }));
    expectDone(
      await service
        .as(key)
        .put(place)
        .send({ effect: 'allow', expiresAt: until(2090) }),
    );
  });

  test('a key that ends makes none for the same user that outlives it', async () => {
    const { id } = await actor('prices', 'manager');
    const terms = { user: id, name: 'x', expiresAt: until(2090) };
    const { key } = (await service.as().post('/keys').send(terms).expect(201)).body;
    expectRefused(await service.as(key).post('/keys').send({ user: id, name: 'outlives it' }));
    expectRefused(
      await service
        .as(key)
        .post('/keys')
        .send({ ...terms, expiresAt: until(2091) }),
    );
    expectDone(
      await service
        .as(key)
        .post('/keys')
        .send({ ...terms, expiresAt: until(2089) }),
    );
  });

  test('a key that ends lets nobody in for longer as whoever it acts for, nor links an identity to its own user', async () => {
    const front = await newUser('prices', 'office');
    const { id } = await actor('prices');
    await service.as().put(`/users/${id}/permissions/rolecall_act_for`).send({ effect: 'allow' }).expect(201);
    const terms = { user: id, name: 'x', expiresAt: until(2090) };
    const { key } = (await service.as().post('/keys').send(terms).expect(201)).body;
    const made = { user: front, name: 'x', permissions: ['rolecall.check'] };
    const asFront = () => service.as(key).set('rolecall-act-for', front);
    expectRefused(await asFront().post('/keys').send(made));
    expectRefused(
      await asFront()
        .post('/keys')
        .send({ ...made, user: id }),
    );
    expectDone(
      await asFront()
        .post('/keys')
        .send({ ...made, expiresAt: until(2090) }),
    );
    const identity = { issuer: 'idp', subject: id };
    expectRefused(await service.as(key).put(`/users/${id}/identities`).send(identity));
    expectDone(await service.as(key).delete(`/users/${id}/identities`).send(identity));
    expectDone(
      await service
        .as(await service.keyFor(id))
        .put(`/users/${id}/identities`)
        .send(identity),
    );
  });

  test('a key that ends needs holding only until then', async () => {
    const key = await holding([null, 2090]);
    const terms = { user: await newUser('prices'), name: 'x', permissions: ['orders.view_prices'] };
    expectRefused(
      await service
        .as(key)
        .post('/keys')
        .send({ ...terms, expiresAt: until(2091) }),
    );
    expectDone(
      await service
        .as(key)
        .post('/keys')
        .send({ ...terms, expiresAt: until(2090) }),
    );
  });

  test('a key for oneself is no gift, however short what one has', async () => {
    const { id, key } = await actor('prices');
    await deny(id, 'orders_view_prices?scope=org');
    await service
      .as()
      .put(`/users/${id}/roles/prices`)
      .send({ expiresAt: until(2090) })
      .expect(200);
    expectDone(await service.as(key).post('/keys').send({ user: id, name: 'mine' }));
  });

  test('an edge or include is for good', async () => {
    const key = await holding([null, 2090]);
    expectRefused(
      await service.as(key).put(`/roles/${await newRole(`e-${++made}`)}/permissions/orders_view_prices`),
    );
    expectRefused(await service.as(key).put(`/roles/${await newRole(`e-${++made}`)}/includes/prices`));
  });

  test('what lies wholly in the past gives nothing and needs nothing', async () => {
    const { key } = await actor();
    const over = { startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    const user = await newUser();
    expectDone(await grant(key, user, over));
    expectDone(await service.as(key).delete(`/users/${user}/roles/prices`));
  });

  test('what the actor will be denied before the end cannot be given beyond', async () => {
    const { id, key } = await actor('prices');
    const terms = { effect: 'deny', startsAt: until(2085), expiresAt: until(2086) };
    await service.as().put(`/users/${id}/permissions/orders_view_prices`).send(terms).expect(201);
    expectRefused(await grant(key, await newUser(), {}));
    expectDone(await grant(key, await newUser(), { expiresAt: until(2085) }));
    expectDone(await grant(key, await newUser(), { startsAt: until(2086) }));
  });
});

describe('how far', () => {
  const grant = (key: string, user: string, scope: string) =>
    service.as(key).put(`/users/${user}/roles/prices`).query({ scope });

  test('nobody gives further than they hold', async () => {
    const { key } = await actor('prices?scope=org/acme');
    for (const scope of ['', 'org', 'org/ac', 'org/acmes', 'habits'])
      expectRefused(await grant(key, await newUser(), scope));
    for (const scope of ['org/acme', 'org/acme/billing'])
      expectDone(await grant(key, await newUser(), scope));
  });

  test('what is denied below is not held wholly above', async () => {
    const { id, key } = await actor('prices');
    await deny(id, 'orders_view_prices?scope=org/acme/secret');
    for (const scope of ['', 'org', 'org/acme', 'org/acme/secret', 'org/acme/secret/x'])
      expectRefused(await grant(key, await newUser(), scope));
    for (const scope of ['org/acme/open', 'org/ac', 'habits'])
      expectDone(await grant(key, await newUser(), scope));
  });

  test('a change of a role counts everywhere', async () => {
    const { key } = await actor('prices?scope=org');
    expectRefused(
      await service.as(key).put(`/roles/${await newRole(`far-${++made}`)}/permissions/orders_view_prices`),
    );
    expectRefused(await service.as(key).put(`/roles/${await newRole(`far-${++made}`)}/includes/prices`));
  });

  test('escalating lifts it in its scope and below, nowhere else', async () => {
    const { key } = await actor('escalator?scope=org/acme');
    for (const scope of ['org/acme', 'org/acme/billing'])
      expectDone(await grant(key, await newUser(), scope));
    for (const scope of ['', 'org', 'org/ac', 'habits'])
      expectRefused(await grant(key, await newUser(), scope));
    expectRefused(
      await service.as(key).put(`/roles/${await newRole(`far-${++made}`)}/permissions/orders_view_prices`),
    );
  });

  test('a delegated administrator grants in their scope and below, nowhere else', async () => {
    await newRole('granter', 'rolecall_grant_roles');
    const id = await newUser('granter?scope=org/acme', 'prices?scope=org/acme');
    const key = await service.keyFor(id);
    for (const scope of ['org/acme', 'org/acme/billing']) {
      const user = await newUser();
      expectDone(await grant(key, user, scope));
      expectDone(await service.as(key).delete(`/users/${user}/roles/prices`).query({ scope }));
    }
    const user = await newUser();
    for (const scope of ['', 'org', 'org/acmes', 'habits']) {
      expect((await grant(key, user, scope)).body).toMatchObject({ status: 403, code: 'forbidden' });
      const revoked = await service.as(key).delete(`/users/${user}/roles/prices`).query({ scope });
      expect(revoked.body.code).toBe('forbidden');
    }
    expectRefused(await service.as(key).put(`/users/${user}/roles/manager?scope=org/acme`));
    for (const place of ['exceptions', 'roles'])
      expect((await service.as(key).get(`/users/${user}/${place}`)).status).toBe(403);
    const exception = service.as(key).put(`/users/${user}/permissions/orders_view_prices?scope=org/acme`);
    expect((await exception.send({ effect: 'allow' })).body.code).toBe('forbidden');
  });
});

describe('oneself', () => {
  test('cannot be given more, by any step', async () => {
    const { id, key } = await actor('loader');
    const as = () => service.as(key);
    expectRefused(await as().put(`/users/${id}/roles/admin`));
    expectRefused(await as().put(`/users/${id}/permissions/rolecall_escalate`).send({ effect: 'allow' }));
    expectRefused(await as().put('/roles/loader/permissions/orders_view_prices'));
    expectRefused(await as().put('/roles/office/permissions/rolecall_escalate'));
    expectRefused(await as().put('/roles/office/includes/admin'));
    expectRefused(await as().post('/keys').send({ user: 'root', name: 'x' }));
    expectRefused(await as().put('/users/root/identities').send({ issuer: 'idp', subject: id }));
  });

  test('may be left with less, and a narrowed key makes no wider one', async () => {
    const { id } = await actor('prices');
    const permissions = ['rolecall_manage_keys', 'rolecall_grant_roles'];
    const { key } = (await service.as().post('/keys').send({ user: id, name: 'x', permissions }).expect(201))
      .body;
    expectRefused(await service.as(key).post('/keys').send({ user: id, name: 'wider' }));
    expectRefused(
      await service
        .as(key)
        .post('/keys')
        .send({ user: id, name: 'other', permissions: ['orders.view_prices'] }),
    );
    expectDone(await service.as(key).post('/keys').send({ user: id, name: 'same', permissions }));
    const whole = await service.keyFor(id);
    expectDone(await service.as(whole).delete(`/users/${id}/roles/office`));
    expect((await service.as(whole).put(`/users/${id}/roles/prices`)).body.code).toBe('forbidden');
  });
});

describe('between the first check and the commit', () => {
  /** Lets a write pass its first check, changes something beneath it by hand, and then lets it go on. */
  async function meanwhile(
    write: PromiseLike<Response>,
    change: (sql: postgres.Sql) => PromiseLike<unknown>,
  ) {
    const sql = postgres(service.database.url, { max: 2 });
    try {
      return await sql.begin(async (holder) => {
        await holder`select 1 from rolecall.revision for update`;
        const answer = Promise.resolve(write);
        for (;;) {
          const [waiting] = await sql`
            select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
          if (waiting) break;
          await pause(5);
        }
        await change(holder as unknown as postgres.Sql);
        return { answer };
      });
    } finally {
      await sql.end();
    }
  }

  test.for([
    [
      'loses their roles',
      (id: string, sql: postgres.Sql) => sql`
      delete from rolecall.user_roles where user_pk = (select pk from rolecall.users where id = ${id})`,
    ],
    [
      'is deactivated',
      (id: string, sql: postgres.Sql) => sql`
      update rolecall.users set active = false where id = ${id}`,
    ],
    [
      'is denied the permission',
      (id: string, sql: postgres.Sql) => sql`
      insert into rolecall.user_permissions (user_pk, permission_pk, effect)
      select users.pk, permissions.pk, 'deny' from rolecall.users, rolecall.permissions
      where id = ${id} and slug = 'rolecall_grant_roles'`,
    ],
    [
      'has their key revoked',
      (id: string, sql: postgres.Sql) => sql`
      update rolecall.api_keys set revoked_at = now()
      where user_pk = (select pk from rolecall.users where id = ${id})`,
    ],
  ] as const)('whoever %s changes nothing any more (A-15)', async ([, change]) => {
    const { id, key } = await actor('prices');
    const user = await newUser();
    const { answer } = await meanwhile(service.as(key).put(`/users/${user}/roles/prices`), (sql) =>
      change(id, sql),
    );
    expect((await answer).status).toBeOneOf([401, 403]);
    expect((await service.as().get(`/users/${user}/roles`)).body.data).toEqual([]);
  });

  test('whose key is told to end makes none for themselves that lasts longer', async () => {
    const { id, key } = await actor();
    const write = service.as(key).post('/keys').send({ user: id, name: 'for good' });
    const { answer } = await meanwhile(
      write,
      (sql) => sql`
      update rolecall.api_keys set expires_at = now() + interval '1 minute'
      where user_pk = (select pk from rolecall.users where id = ${id})`,
    );
    expectRefused(await answer);
  });

  test('nobody acts for a user whose id was given to another', async () => {
    const { id, key } = await actor('prices');
    await service.as().put(`/users/${id}/permissions/rolecall_act_for`).send({ effect: 'allow' }).expect(201);
    const front = await newUser('office', 'prices');
    const user = await newUser();
    const write = service.as(key).set('rolecall-act-for', front).put(`/users/${user}/roles/prices`);
    const { answer } = await meanwhile(write, async (sql) => {
      await sql`update rolecall.users set id = ${`${front}-gone`} where id = ${front}`;
      await sql`
        with another as (insert into rolecall.users (id) values (${front}) returning pk)
        insert into rolecall.user_roles (user_pk, role_pk, scope)
        select another.pk, roles.pk, '' from another, rolecall.roles where key in ('office', 'prices')`;
    });
    expect((await answer).status).toBe(401);
    expect((await service.as().get(`/users/${user}/roles`)).body.data).toEqual([]);
  });
});

test('the first administrator is one of twenty who try at once, and the only one (A-13)', async () => {
  const database = await createTestDatabase();
  const runtimes = await Promise.all([1, 2, 3, 4].map(() => openTestRuntime(database.url)));
  const everybody = Array.from({ length: 20 }, (_, n) => `first-${n}`);
  const tries = await Promise.allSettled(
    everybody.map((id, n) =>
      runtimes[n % 4]?.apiKeys.provision(operatorCall(20_000), id as UserId, 'admin' as RoleKey),
    ),
  );
  const refused = tries.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []));
  expect(refused).toEqual(Array(19).fill('forbidden'));
  const sql = postgres(database.url, { max: 1 });
  const [there] = await sql`select (select count(*)::int from rolecall.users) as users,
    (select count(*)::int from rolecall.user_roles) as grants, (select count(*)::int from rolecall.api_keys) as keys`;
  expect(there).toEqual({ users: 1, grants: 1, keys: 1 });
  await Promise.all([sql.end(), ...runtimes.map((runtime) => runtime.close())]);
  await database.drop();
});

describe('the last administrator (A-12)', () => {
  let own: TestService;
  beforeAll(async () => {
    own = await startTestService();
  });
  afterAll(() => own.close());

  const isAdministrator = async (id: string) => {
    const { body } = await own.as().get('/roles/admin/users').expect(200);
    const held = body.data.some(
      (grant: { user: string; scope: string }) => grant.user === id && grant.scope === '',
    );
    return held && (await own.as().get(`/users/${id}`)).body.active;
  };

  /** Every write that would take root out of office. */
  const removals: Readonly<Record<string, (key: string | undefined, id: string) => PromiseLike<Response>>> = {
    revoking: (key, id) => own.as(key).delete(`/users/${id}/roles/admin`),
    'an end': (key, id) =>
      own.as(key).put(`/users/${id}/roles/admin`).send({ expiresAt: '2099-01-01T00:00:00Z' }),
    'a later start': (key, id) =>
      own.as(key).put(`/users/${id}/roles/admin`).send({ startsAt: '2098-01-01T00:00:00Z' }),
    deactivating: (key, id) => own.as(key).patch(`/users/${id}`).send({ active: false }),
    deleting: (key, id) => own.as(key).delete(`/users/${id}`),
    'a denied rolecall permission': (key, id) =>
      own.as(key).put(`/users/${id}/permissions/rolecall_grant_roles`).send({ effect: 'deny' }),
    'a denied rolecall permission in one scope': (key, id) =>
      own.as(key).put(`/users/${id}/permissions/rolecall_check?scope=org`).send({ effect: 'deny' }),
  };

  test.for(Object.entries(removals))('is not removed by %s', async ([, remove]) => {
    const { revision } = (await own.as().get('/me/permissions')).body;
    const refused = await remove(undefined, 'root');
    expect(refused.body).toMatchObject({ status: 409, code: 'last_administrator' });
    expect((await own.as().get('/me/permissions')).body).toMatchObject({ revision });
    expect(await isAdministrator('root')).toBe(true);
  });

  test('is not relieved by somebody who is not one for good, everywhere and whole', async () => {
    const stand = async (id: string, place: string, terms: object) => {
      await own.as().post('/users').send({ id }).expect(201);
      await own.as().put(`/users/${id}/roles/${place}`).send(terms).expect(201);
    };
    await stand('ending', 'admin', { expiresAt: '2099-01-01T00:00:00Z' });
    await stand('coming', 'admin', { startsAt: '2098-01-01T00:00:00Z' });
    await stand('local', 'admin?scope=org', {});
    await stand('asleep', 'admin', {});
    await own.as().patch('/users/asleep').send({ active: false }).expect(200);
    await stand('half', 'admin', {});
    await own.as().put('/users/half/permissions/rolecall_escalate').send({ effect: 'deny' }).expect(201);
    for (const remove of Object.values(removals))
      expect((await remove(undefined, 'root')).body.code).toBe('last_administrator');
  });

  test('is relieved by one more, also by one whose denial is over', async () => {
    const key = await own.keyFor('healed');
    expectDone(await own.as().put('/users/healed/roles/admin'));
    const over = { effect: 'deny', startsAt: '2001-01-01T00:00:00Z', expiresAt: '2002-01-01T00:00:00Z' };
    expectDone(await own.as().put('/users/healed/permissions/rolecall_check').send(over));
    expectDone(await own.as().delete('/users/root/roles/admin'));
    expectDone(await own.as(key).put('/users/root/roles/admin'));
    expectDone(await own.as().delete('/users/healed'));
  });

  test('may be denied what is not of the service, and given other roles in other places', async () => {
    await own.as().put('/users/root/permissions/orders_view_order').send({ effect: 'deny' }).expect(201);
    await own
      .as()
      .put('/users/root/roles/admin?scope=org')
      .send({ expiresAt: '2099-01-01T00:00:00Z' })
      .expect(201);
    await own.as().delete('/users/root/roles/admin?scope=org').expect(200);
    await own.as().delete('/users/root/permissions/orders_view_order').expect(200);
  });

  const withNothing = async (key: string | undefined, id: string) => {
    const { headers } = await own.as(key).get(`/users/${id}/roles`);
    const replacing = own.as(key).put(`/users/${id}/roles`).set('if-match', String(headers['etag']));
    return replacing.send({ grants: [] });
  };
  const inBatch = async (key: string | undefined, id: string) => {
    const changes = [{ op: 'revoke', user: id, role: 'admin' }];
    return own.as(key).post('/grants/batch').send({ mode: 'atomic', changes });
  };

  test('of two who remove each other, or themselves, at once, one remains, every time', {
    timeout: 1_800_000,
  }, async () => {
    const keys: Record<string, string> = { root: own.adminKey, rival: await own.keyFor('rival') };
    const ways = [...Object.values(removals), withNothing, inBatch];
    let [chief, other] = ['root', 'rival'];

    async function reinstate(id: string): Promise<void> {
      const as = () => own.as(keys[chief]);
      if ((await as().get(`/users/${id}`)).status === 404) keys[id] = await own.keyFor(id);
      await as().patch(`/users/${id}`).send({ active: true }).expect(200);
      for (const denied of ['rolecall_grant_roles', 'rolecall_check?scope=org'])
        await as().delete(`/users/${id}/permissions/${denied}`).expect(200);
      expectDone(await as().put(`/users/${id}/roles/admin`));
    }

    for (let round = 0; round < (long ? 1_000 : 54); round += 1) {
      await reinstate(other);
      const [first, second] = round % 2 === 0 ? [other, chief] : [chief, other];
      const [one, two] = [ways[(round >> 1) % 9], ways[Math.floor(round / 18) % 9]];
      const answers = await Promise.all([
        one?.(keys[chief], first as string),
        two?.(keys[other], second as string),
      ]);
      const statuses = answers.map((answer) => answer?.status ?? 0);
      expect(
        statuses.filter((status) => status < 300),
        `${round}: ${statuses}`,
      ).toHaveLength(1);
      if ((statuses[0] === 200 || statuses[0] === 201 ? first : second) === chief)
        [chief, other] = [other, chief];
      const left = await own.as(keys[chief]).get('/me/permissions').expect(200);
      expect(left.body.permissions).toEqual(
        expect.arrayContaining([...officePermissions, 'rolecall_escalate']),
      );
    }
    summarize('administrators who remove each other or themselves at once, none left 0', {
      rounds: long ? 1_000 : 54,
      ways: ways.length,
    });
  });
});
