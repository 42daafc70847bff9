import fc from 'fast-check';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseUserId } from '../../src/domain/ids.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { prepareDatabase } from '../support/template.ts';

/** Pairs of names for each collation. */
const pairs = long ? 5_000 : 60;

/** What makes of a name another one that somebody would take for the same. */
const disguises: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.normalize('NFC'),
  (name) => name.normalize('NFD'),
  (name) => name.normalize('NFKC'),
  (name) => name.toUpperCase(),
  (name) => name.toLowerCase(),
  (name) => name.toLocaleLowerCase('tr'),
  (name) => `${name} `,
  (name) => `${name}\u200b`,
  (name) => `\u202e${name}`,
  (name) => `\ufeff${name}`,
  (name) => name.replace('a', 'а').replace('o', 'ο'),
  (name) => name.replace(/[!-~]/, (one) => String.fromCodePoint(one.charCodeAt(0) + 0xfee0)),
  (name) => name.replaceAll('ß', 'ss').replaceAll('ẞ', 'ß'),
  (name) => name.replaceAll('i', 'ı').replaceAll('I', 'İ'),
  (name) => name.replaceAll('-', '\u00ad').replaceAll('_', '-'),
];

const piece = fc.constantFrom(
  'anna',
  'İstanbul',
  'straße',
  'STRASSE',
  'é',
  'e\u0301',
  'ﬁ',
  'K',
  'Å',
  '-',
  '_',
  'o\u0308',
  '😀',
  'ａ',
  '中',
  'ʼ',
  "'",
);
const name = fc
  .array(piece, { minLength: 1, maxLength: 4 })
  .map((pieces: readonly string[]) => pieces.join(''));
const pair = fc
  .tuple(name, fc.constantFrom(...disguises), fc.constantFrom(...disguises), fc.uuid())
  .map(([given, one, other, unlike]) => [`${unlike}${one(given)}`, `${unlike}${other(given)}`] as const);

/** One that knows nothing of languages, and one that has its own idea of which letters are alike. */
const locales = {
  bytewise: "lc_collate 'C' lc_ctype 'C'",
  Turkish: "locale_provider icu icu_locale 'tr-u-ks-level1' lc_collate 'C' lc_ctype 'C'",
};

describe.for(Object.entries(locales))('in a database whose collation is %s', ([kind, locale]) => {
  let database: TestDatabase;
  let service: TestService;
  let sql: postgres.Sql;
  const counts = { pairs: 0, equal: 0 };

  beforeAll(async () => {
    database = await createEmptyDatabase(`encoding 'UTF8' ${locale}`);
    await prepareDatabase(database.url);
    service = await startTestService({ database });
    sql = postgres(database.url, { max: 1, onnotice: () => {} });
  });
  afterAll(async () => {
    summarize(`identity, ${kind} (N-04)`, counts);
    await sql.end();
    await service.close();
    await database.drop();
  });

  const mayLoad = async (user: string) =>
    (await service.as().post('/authorize').send({ user, permission: 'orders.load_order' }).expect(200)).body
      .allowed;

  test('two ids are one in JavaScript, in SQL and in memory, or in none of them (N-04)', {
    timeout: 600_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ([one, other]) => {
        fc.pre(parseUserId(one).ok && parseUserId(other).ok);
        const areSame = one === other;
        counts.pairs += 1;
        if (areSame) counts.equal += 1;
        await service.as().post('/users').send({ id: one }).expect(201);
        expect(await mayLoad(other)).toBe(false);
        await service
          .as()
          .put(`/users/${encodeURIComponent(one)}/roles/loader`)
          .expect(201);
        expect(await mayLoad(one)).toBe(true);
        expect(await mayLoad(other)).toBe(areSame);
        const [found] = await sql`select count(*)::int as count from rolecall.users where id = ${other}`;
        expect(found).toEqual({ count: areSame ? 1 : 0 });
        const listed = await service.as().get('/users').query({ idPrefix: other }).expect(200);
        expect(listed.body.data.some(({ id }: { id: string }) => id === other)).toBe(areSame);
        expect((await service.as().post('/users').send({ id: other })).status).toBe(areSame ? 409 : 201);
        expect(await mayLoad(other)).toBe(areSame);
      }),
      { numRuns: pairs },
    );
  });

  test('lists are in the order of the bytes, whatever the language', async () => {
    const ids = ['z', 'Z', 'ä', 'a', 'A', 'ı', 'I', 'i', 'İ', 'ß', 'ss', '_', '-', '😀', '\ufffd'].map(
      (id) => `order-${id}`,
    );
    for (const id of ids) await service.as().post('/users').send({ id }).expect(201);
    const seen: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const query: object = { idPrefix: 'order-', limit: '4', ...(after === '' ? {} : { after }) };
      const { body } = await service.as().get('/users').query(query).expect(200);
      seen.push(...body.data.map(({ id }: { id: string }) => id));
      after = body.nextCursor;
    }
    expect(seen).toEqual(ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  });

  test('codes are joined in one way only, and no character of one has a meaning (N-05)', async () => {
    const register = (permission: string) => service.as().post('/permissions').send({ permission });
    expect((await register('mixed_up.code')).status).toBe(201);
    expect((await register('mixed.up_code')).body.code).toBe('slug_collision');
    for (const asked of ['mixedXup.code', 'mixed_up.codeX', 'mixed_up.cod', 'mixed%', 'mixed_up.*', '*'])
      expect((await service.as().get(`/permissions/${encodeURIComponent(asked)}`)).status, asked).toBeOneOf([
        400, 404,
      ]);
    for (const stored of ['*', 'doc.*', '*.view', 'doc.%', 'doc._', '__proto__.view', 'Doc.view'])
      expect((await register(stored)).status, stored).toBe(400);
    for (const [at, key] of ['me', 'new', 'constructor', 'tostring', 'batch', 'null', 'true'].entries()) {
      await service.as().post('/roles').send({ key, name: key }).expect(201);
      await service.as().put(`/roles/${key}/permissions/mixed_up.code`).expect(200);
      await service
        .as()
        .post('/users')
        .send({ id: `coded-${at}` })
        .expect(201);
      await service.as().put(`/users/coded-${at}/roles/${key}`).expect(201);
      const { body } = await service.as().get(`/users/coded-${at}/permissions`).expect(200);
      expect(body).toMatchObject({ permissions: ['mixed_up_code'], roles: [key] });
    }
  });

  test('a prefix is searched for as it is written', async () => {
    const ids = ['pre_x', 'preXx', 'pre%x', 'pre\\x', 'pre\\%x', 'pre', "pre'x"];
    for (const id of ids) await service.as().post('/users').send({ id }).expect(201);
    for (const idPrefix of [...ids, 'pre%', 'pre_', 'pre\\', 'pre.', 'pre.*']) {
      const { body } = await service.as().get('/users').query({ idPrefix }).expect(200);
      const found = body.data.map(({ id }: { id: string }) => id);
      expect(found.sort()).toEqual(ids.filter((id) => id.startsWith(idPrefix)).sort());
    }
  });
});
