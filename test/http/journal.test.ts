import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestService, type TestService } from '../support/service.ts';

interface Entry {
  readonly revision: string;
  readonly number: number;
  readonly time: string;
  readonly kind: string;
  readonly actor: { readonly kind: string; readonly user: string | null };
  readonly user: string | null;
  readonly erased: boolean;
  readonly personal: Readonly<Record<string, string>>;
}

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService();
  sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
  const root = service.as();
  for (const id of ['ada', 'bea']) await root.post('/users').send({ id }).expect(201);
  await root.put('/users/ada/roles/loader?scope=north').send({ reason: 'stock-taking' }).expect(201);
  await root.put('/users/bea/roles/loader').expect(201);
  await root.put('/users/ada/permissions/orders_view_order').send({ effect: 'deny' }).expect(201);
  await root.delete('/users/ada/roles/loader?scope=north').expect(200);
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

/** All pages of a list, by so many at a time. */
async function walk(query: Readonly<Record<string, string>>, limit = 50): Promise<Entry[]> {
  const found: Entry[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const asked: Record<string, string> = { ...query, limit: String(limit), ...(after && { after }) };
    const answer = await service.as().get('/journal').query(asked).expect(200);
    const page = answer.body as { data: Entry[]; nextCursor: string | null };
    found.push(...page.data);
    after = page.nextCursor;
  }
  return found;
}

const kinds = (entries: readonly Entry[]) => entries.map(({ kind }) => kind);

describe('the journal', () => {
  test('shows the newest first, with names and what is personal, and no internal key (4.2)', async () => {
    const [revoked, denied, , granted] = await walk({});
    expect(revoked).toMatchObject({
      kind: 'grant_removed',
      actor: { kind: 'user', user: 'root' },
      user: 'ada',
      erased: false,
      before: { role: 'loader', scope: 'north', origin: 'api' },
      after: null,
      personal: { reason: 'stock-taking' },
    });
    expect(denied).toMatchObject({ kind: 'exception_set', user: 'ada', personal: {} });
    expect(granted).toMatchObject({ kind: 'grant_set', user: 'ada' });
    expect(JSON.stringify(await walk({}))).not.toMatch(/pk"/i);
  });

  test('says when grants, exceptions and keys begin and end as all times are said, and stays whole', async () => {
    const times = { startsAt: '2027-01-31T12:00:00.000Z', expiresAt: '2099-01-01T00:00:00.000Z' };
    const root = service.as();
    await root.post('/users').send({ id: 'timed' }).expect(201);
    await root.put('/users/timed/roles/loader').send(times).expect(201);
    await root.put('/users/timed/roles/loader').send({ expiresAt: times.expiresAt }).expect(200);
    await root.post('/keys').send({ user: 'timed', name: 'k', expiresAt: times.expiresAt }).expect(201);
    const [key, again, first] = await walk({ user: 'timed' });
    expect(key).toMatchObject({ kind: 'key_created', after: { expiresAt: times.expiresAt } });
    expect(again).toMatchObject({ before: times, after: { startsAt: null, expiresAt: times.expiresAt } });
    expect(first).toMatchObject({ before: null, after: times });
    expect((await root.get('/journal/verify').expect(200)).body.broken).toBeNull();
  });

  test.each([
    [{ user: 'ada' }, ['grant_removed', 'exception_set', 'grant_set', 'user_created']],
    [{ user: 'ada', kind: 'grant_set' }, ['grant_set']],
    [{ role: 'loader', user: 'bea' }, ['grant_set']],
    [{ permission: 'orders.view_order', actor: 'root' }, ['exception_set']],
    [{ user: 'nobody' }, []],
    [{ role: 'no-such', user: 'ada' }, []],
    [{ kind: 'layer_applied' }, ['layer_applied', 'layer_applied']],
  ])('filtered by %j shows what meets all of it', async (filter, due) => {
    expect(kinds(await walk(filter))).toEqual(due);
    expect(kinds(await walk(filter, 1))).toEqual(due);
  });

  test('shows what lies between two times, both included', async () => {
    const all = await walk({});
    const [first, last] = [all[3], all[1]];
    const from = String(first?.time).slice(0, 23);
    const shown = await walk({
      from: `${from}Z`,
      to: new Date(Date.parse(String(last?.time)) + 1).toISOString(),
    });
    const within = (entry: Entry) =>
      entry.time >= from && Date.parse(entry.time) <= Date.parse(String(last?.time));
    expect(shown.length).toBeGreaterThan(0);
    expect(shown).toEqual(expect.arrayContaining(all.filter(within)));
    expect(await walk({ to: '2000-01-01T00:00:00Z' })).toEqual([]);
    expect(await walk({ from: '2999-01-01T00:00:00Z' })).toEqual([]);
  });

  test('walked by pages has every entry once, while others come (D-10)', async () => {
    const before = await walk({});
    for (const limit of [1, 7]) {
      const walking = walk({}, limit);
      await service.as().post('/users').send({}).expect(201);
      const seen = (await walking).map(({ revision, number }) => `${revision} ${number}`);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen).toEqual(
        expect.arrayContaining(before.map(({ revision, number }) => `${revision} ${number}`)),
      );
    }
  });

  test('belongs to those who may read it, and its cursors to one filter', async () => {
    const key = await service.keyFor('cyd', 'viewer');
    await service.as(key).get('/journal').expect(403);
    await service.as(key).get('/journal/verify').expect(403);
    await service.as(key).get('/journal/denied').expect(403);
    const { body } = await service.as().get('/journal?limit=1').expect(200);
    const other = await service
      .as()
      .get('/journal')
      .query({ user: 'ada', after: body.nextCursor })
      .expect(400);
    expect(other.body.code).toBe('invalid_cursor');
  });

  test('is verified a part at a time, and the first bad entry is named (D-06)', async () => {
    const { body } = await service.as().get('/journal/verify').expect(200);
    expect(body).toMatchObject({ broken: null, nextCursor: null });
    expect(body.rows).toBe((await walk({})).length);
    const [row] = await sql<[{ revision: string; kind: string }]>`
      select revision, kind from rolecall.journal where kind = 'exception_set'`;
    await sql`update rolecall.journal set kind = 'grant_set' where revision = ${row.revision}`;
    const found = await service.as().get('/journal/verify').expect(200);
    expect(found.body.broken).toMatch(new RegExp(`journal row ${row.revision}\\.1 is not as it was sealed`));
    expect(found.body.wholeUpTo).toMatch(new RegExp(`-${Number(row.revision) - 1}$`));
    await sql`update rolecall.journal set kind = ${row.kind} where revision = ${row.revision}`;
  });
});

test('whoever may read the journal in a scope sees what happened there and below, and nothing else', async () => {
  const root = service.as();
  await root.put('/users/bea/roles/loader?scope=north/1').expect(201);
  await root.post('/roles').send({ key: 'auditor', name: 'Auditor' }).expect(201);
  await root.put('/roles/auditor/permissions/rolecall_read_journal').expect(200);
  const key = await service.keyFor('hal');
  const terms = { user: 'bea', name: 'of the north', scope: 'north', permissions: ['orders_view_order'] };
  const made = await root.post('/keys').send(terms).expect(201);
  await root.delete(`/keys/${made.body.id}`).expect(200);
  const rule = { issuer: 'https://i', claim: ['groups'], value: 'x', role: 'loader', scope: 'north' };
  const { body: mapped } = await root.post('/mappings').send(rule).expect(201);
  await root.delete(`/mappings/${mapped.mapping.id}`).expect(200);
  await root.put('/users/hal/roles/auditor?scope=north').expect(201);
  const { body } = await service.as(key).get('/journal').expect(200);
  const shown = (body.data as { kind: string; user: string }[]).map(({ kind, user }) => `${kind} ${user}`);
  expect(shown).toEqual(['grant_set hal', 'grant_set bea', 'grant_removed ada', 'grant_set ada']);
  await service.as(key).get('/journal/verify').expect(403);
});

describe('erasing a user', () => {
  const anywhere = async (text: string) => {
    const rows = await sql<{ place: string }[]>`
      select 'users' as place from rolecall.users t where t::text like ${`%${text}%`}
      union all select 'identities' from rolecall.identities t where t::text like ${`%${text}%`}
      union all select 'grants' from rolecall.user_roles t where t::text like ${`%${text}%`}
      union all select 'journal' from rolecall.journal t where t::text like ${`%${text}%`}
      union all select 'personal' from rolecall.personal t where t::text like ${`%${text}%`}
      union all select 'idempotency' from rolecall.idempotency t where t::text like ${`%${text}%`}
      union all select 'denials' from rolecall.denials t where t::text like ${`%${text}%`}`;
    return rows.map(({ place }) => place);
  };

  test('takes away what is personal, and leaves record and chain whole (4.9)', async () => {
    const root = service.as();
    const secret = 'Zelda0';
    const make = async () => {
      const body = { id: secret, email: `${secret}@example.com` };
      await root.post('/users').set('idempotency-key', crypto.randomUUID()).send(body).expect(201);
      await root
        .put(`/users/${secret}/identities`)
        .send({ issuer: 'https://i', subject: `s-${secret}` })
        .expect(200);
      await root
        .put(`/users/${secret}/roles/loader`)
        .send({ reason: `for ${secret}` })
        .expect(201);
      await root
        .post('/keys')
        .send({ user: secret, name: `of ${secret}` })
        .expect(201);
    };
    await make();
    await root.delete(`/users/${secret}`).expect(200);
    await make();
    expect((await anywhere(secret)).length).toBeGreaterThan(3);
    const before = (await walk({ user: secret })).length;
    const dry = await root.post(`/users/${secret}/erase?dryRun=true`).expect(200);
    expect(dry.body).toMatchObject({ users: 2, dryRun: true });
    const { body } = await root.post(`/users/${secret}/erase`).set('idempotency-key', 'erase').expect(200);
    expect(body).toMatchObject({ users: 2, changed: true });
    expect(body.values).toBeGreaterThan(6);
    expect(await anywhere(secret)).toEqual([]);
    const erased = (await walk({})).filter((entry) => entry.erased);
    expect(erased.length).toBeGreaterThan(before);
    expect(erased.every(({ user, personal }) => user === null && Object.keys(personal).length === 0)).toBe(
      true,
    );
    const chain = await root.get('/journal/verify').expect(200);
    expect(chain.body).toMatchObject({ broken: null, nextCursor: null });
    await root.get(`/users/${secret}`).expect(404);
    await root.post(`/users/${secret}/erase`).expect(404);
    const again = await root.post(`/users/${secret}/erase`).set('idempotency-key', 'erase').expect(200);
    expect(again.body.revision).toBe(body.revision);
  });

  test('takes attempts about them that are not written yet, and those that are being written', async () => {
    const key = await service.keyFor('kim', 'viewer');
    const about = (user: string) => service.as(key).delete(`/users/${user}`).expect(403);
    const root = service.as();
    for (const id of ['Zelda1', 'Zelda2']) await root.post('/users').send({ id }).expect(201);
    await about('Zelda1');
    await about('Zelda2');
    await about('nobody-there');
    await root.delete('/users/Zelda2').expect(200);
    await root.post('/users/Zelda1/erase').expect(200);
    const subjects = async () => {
      const { body } = await root.get('/journal/denied').expect(200);
      const ofKim = body.data.filter(({ actor }: { actor: string | null }) => actor === 'kim');
      return ofKim.map(({ subject }: { subject: string | null }) => subject).toSorted();
    };
    await expect.poll(subjects, { timeout: 20_000 }).toEqual(['Zelda2', null, null]);
    const { erasing } = await sql.begin(async (writing) => {
      await writing`insert into rolecall.denials (time, request_id, method, route, code, subject, times)
        values (now(), 'x', 'DELETE', '/users/{user}', 'forbidden', 'Zelda2', 1)`;
      const erasing = root.post('/users/Zelda2/erase').then(({ status }) => status);
      const isWaiting = async () =>
        (
          await writing<[{ waits: boolean }]>`select exists (
          select from pg_locks where relation = 'rolecall.denials'::regclass and not granted) as waits`
        )[0].waits;
      await expect.poll(isWaiting, { timeout: 10_000 }).toBe(true);
      return { erasing };
    });
    expect(await erasing).toBe(200);
    expect(await anywhere('Zelda')).toEqual([]);
  });

  test('leaves nothing to whoever gets the id next (D-11)', async () => {
    const root = service.as();
    await root.post('/users').send({ id: 'dora' }).expect(201);
    await root.put('/users/dora/roles/manager').expect(201);
    const old = await root.post('/keys').send({ user: 'dora', name: 'old' }).expect(201);
    await root.post('/users/dora/erase').expect(200);
    await root.post('/users').send({ id: 'dora' }).expect(201);
    const { body } = await root.get('/users/dora/permissions').expect(200);
    expect(body).toMatchObject({ permissions: [], roles: [] });
    await service.as(old.body.key).get('/me/permissions').expect(401);
  });

  test('needs its own permission, and never takes the last administrator', async () => {
    await service.as().post('/roles').send({ key: 'people', name: 'People' }).expect(201);
    await service.as().put('/roles/people/permissions/rolecall_manage_users').expect(200);
    const key = await service.keyFor('eve', 'people');
    await service.as(key).post('/users/ada/erase').expect(403);
    const last = await service.as().post('/users/root/erase').expect(409);
    expect(last.body.code).toBe('last_administrator');
  });

  test('without a word in the record is found out: a personal value that is gone', async () => {
    await sql`create table public.kept as select * from rolecall.personal where value = 'stock-taking'`;
    await sql`delete from rolecall.personal where value = 'stock-taking'`;
    const { body } = await service.as().get('/journal/verify').expect(200);
    expect(body.broken).toMatch(
      /the personal value reason of journal row \d+\.1 is gone, though nobody was erased/,
    );
    await sql`insert into rolecall.personal select * from public.kept`;
    await sql`drop table public.kept`;
  });
});

test('a range that begins and ends with the time of an entry has that entry', async () => {
  await service.as().post('/users').send({ id: 'timely' }).expect(201);
  const find = async (query: object) =>
    (
      await service
        .as()
        .get('/journal')
        .query({ user: 'timely', ...query })
        .expect(200)
    ).body.data;
  const [entry] = await find({});
  expect(await find({ from: entry.time, to: entry.time })).toEqual([entry]);
});

describe('what was refused', () => {
  const denials = async (): Promise<{ code: string }[]> =>
    (await service.as().get('/journal/denied').expect(200)).body.data;
  const revision = async () =>
    (await sql<{ value: string }[]>`select value from rolecall.revision`)[0]?.value;

  test('is kept with who tried it and where, after the answer and beside the revision', async () => {
    const key = await service.keyFor('fay', 'viewer');
    const before = await revision();
    for (let time = 0; time < 3; time += 1)
      await service.as(key).put('/users/bea/roles/admin?scope=north').expect(403);
    await service.as('rc_nonsense').delete('/users/bea').expect(401);
    await service.as(key).get('/users/bea/permissions').expect(403);
    await until(async () => (await denials()).some(({ code }) => code === 'unauthenticated'));
    const kept = await denials();
    expect(kept.find((one) => 'actor' in one && one.actor === 'fay')).toMatchObject({
      method: 'PUT',
      route: '/users/{user}/roles/{role}',
      code: 'forbidden',
      subject: 'bea',
      target: 'admin',
      scope: 'north',
      times: 3,
    });
    expect(kept.find(({ code }) => code === 'unauthenticated')).toMatchObject({ actor: null, subject: null });
    expect(kept.some((one) => 'route' in one && one.route === '/users/{user}/permissions')).toBe(false);
    expect(await revision()).toBe(before);
  });

  test('is told apart by the key with which it was tried', async () => {
    const keys = [await service.keyFor('lea', 'viewer'), await service.keyFor('lea', 'viewer')];
    for (const key of [...keys, ...keys]) await service.as(key).delete('/users/bea').expect(403);
    const byLea = async () => {
      const { body } = await service.as().get('/journal/denied').expect(200);
      return body.data
        .filter(({ actor }: { actor: string | null }) => actor === 'lea')
        .map(({ key, times }: { key: string; times: number }) => [key, times])
        .toSorted();
    };
    const shown = keys.map((key) => [key.slice(3, 15), 2]).toSorted();
    await expect.poll(byLea, { timeout: 20_000 }).toEqual(shown);
  });

  test('is dropped and counted where it is too much, and never more than so many rows are kept', async () => {
    const key = await service.keyFor('gil', 'viewer');
    await sql`insert into rolecall.denials (time, request_id, method, route, code, times)
      select now(), 'x', 'GET', '/', 'forbidden', 1 from generate_series(1, 100000)`;
    const tries = Array.from({ length: 40 }, (_, n) => service.as(key).delete(`/roles/x${n}`).expect(403));
    await Promise.all(tries);
    await until(async () =>
      (await denials()).some((one) => 'target' in one && /^x/.test(String(one.target))),
    );
    const [kept] = await sql<[{ gil: number; all: number }]>`
      select count(*) filter (where target like 'x%')::int as gil, count(*)::int as all from rolecall.denials`;
    expect(kept).toEqual({ gil: 20, all: 100_000 });
    const { text } = await service.as().get('/metrics').expect(200);
    expect(text).toMatch(/rolecall_denials_total\{outcome="dropped"\} 20/);
  });

  async function until(isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!(await isSo()) && Date.now() < deadline) await sleep(100);
    expect(await isSo()).toBe(true);
  }
});
