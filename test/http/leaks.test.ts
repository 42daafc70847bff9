import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endingOperations } from '../support/contract.ts';
import { type Request, requestOf } from '../support/hostile/requests.ts';
import { expectSoundLog } from '../support/hostile/verdict.ts';
import { startTestService, type TestService } from '../support/service.ts';

const canary = 'canary-5d1f07b2';
const lines: string[] = [];

let service: TestService;
let sql: postgres.Sql;
beforeAll(async () => {
  service = await startTestService({ requestTimeoutMs: 3_000, onLog: (line) => void lines.push(line) });
  sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
  await service.as().post('/users').send({ id: 'subject' }).expect(201);
});
afterEach(() => {
  expectSoundLog(lines);
  expect(lines.filter((line) => line.includes(canary))).toEqual([]);
  lines.length = 0;
});
afterAll(async () => {
  await sql.end();
  await service.close();
});

async function ask({ method, target, headers, body }: Request, key: string | null = service.adminKey) {
  const authorization = key === null ? {} : { authorization: `Bearer ${key}` };
  const answer = await service.app.inject({
    method: method as 'GET',
    url: target,
    headers: { ...authorization, ...headers },
    ...(body ? { payload: body } : {}),
  });
  return { status: answer.statusCode, text: answer.body, headers: answer.headers };
}

/** Without what is another each time. */
const lasting = (text: string) =>
  text.replaceAll(
    /"(requestId|nextCursor|revision|createdAt|updatedAt|expiresAt|grantedAt|id)":"[^"]*"/g,
    '',
  );

const isDry = (operation: (typeof endingOperations)[number]) =>
  (operation.parameters ?? []).some(({ name }) => name === 'dryRun')
    ? [['dryRun', 'dryRun=true'] as const]
    : [];
/** What they answer is another each time. */
const steady = endingOperations.filter(
  ({ operationId }) => !['getMetrics', 'createUser', 'createKey'].includes(operationId),
);

test('a secret comes out nowhere, wherever it was put (N-11)', { timeout: 300_000 }, async () => {
  const carriers: Readonly<Record<string, string>>[] = [
    ...[
      `Bearer ${canary}`,
      `Bearer rc_${canary}`,
      `Basic ${canary}`,
      canary,
      `Bearer ${service.adminKey}${canary}`,
    ].map((authorization) => ({ authorization })),
    ...['cookie', 'x-api-key', 'proxy-authorization', 'x-auth-token', 'idempotency-key'].map((name) => ({
      [name]: `${canary} secret`,
    })),
  ];
  const members = ['password', 'secret', 'key', 'token', 'apiKey'];
  for (const operation of endingOperations) {
    const query = isDry(operation);
    const bodies = operation.requestBody ? members.map((name) => JSON.stringify({ [name]: canary })) : [];
    const requests = [
      ...carriers.map((headers) => requestOf(operation, { query, headers })),
      ...['access_token', 'api_key', 'key', 'password'].map((name) =>
        requestOf(operation, { query: [['', `${name}=${canary}`]] }),
      ),
      ...bodies.map((body) => requestOf(operation, { query, body })),
    ];
    for (const request of requests) {
      const { status, text, headers } = await ask(request);
      expect(status, text).toBeLessThan(500);
      expect(text + JSON.stringify(headers)).not.toContain(canary);
    }
  }
});

describe('a failure of the database', { timeout: 300_000 }, () => {
  const failing = async (state: string) => {
    await sql.unsafe(`
      create or replace function rolecall.fail() returns trigger language plpgsql as $$
      begin raise exception '${canary} in a message' using errcode = '${state}', detail = '${canary}', hint = '${canary}'; end $$`);
    const tables = await sql`
      select tablename from pg_tables where schemaname = 'rolecall' and tablename not in ('revision', 'migrations')`;
    for (const { tablename } of tables)
      await sql.unsafe(`
        create or replace trigger fail before insert or update or delete on rolecall."${tablename}"
        for each statement execute function rolecall.fail()`);
    return async () => {
      for (const { tablename } of tables) await sql.unsafe(`drop trigger fail on rolecall."${tablename}"`);
    };
  };

  test.for([
    '40001',
    '40P01',
    '57P01',
    '53300',
    '23505',
    '42P01',
    '22P02',
    'XX000',
    '08006',
    '25006',
    '42501',
  ])('of class %s says at every route only what it is, and nothing of it comes out (N-11)', async (state) => {
    const heal = await failing(state);
    const codes = new Set<string>();
    try {
      for (const operation of endingOperations.filter(({ method }) => method !== 'GET')) {
        const { status, text } = await ask(requestOf(operation, { headers: { 'if-match': '*' } }));
        expect(text, operation.operationId).not.toContain(canary);
        if (status < 500) continue;
        const { code, requestId } = JSON.parse(text);
        expect(requestId).toEqual(expect.any(String));
        codes.add(code);
      }
    } finally {
      await heal();
    }
    expect(codes.size).toBeGreaterThan(0);
    for (const code of codes)
      expect(['internal', 'unavailable', 'not_ready', 'outcome_unknown']).toContain(code);
  });
});

test('what somebody in between says of the caller changes nothing and is kept nowhere (N-14)', {
  timeout: 300_000,
}, async () => {
  const forwarded = {
    'x-forwarded-for': `203.0.113.7, ${canary}`,
    'x-forwarded-proto': canary,
    'x-forwarded-host': canary,
    forwarded: `for=${canary};host=${canary}`,
    'x-real-ip': canary,
    'x-user-id': 'root',
    'x-tenant': canary,
    'x-original-url': '/livez',
    'x-http-method-override': 'GET',
    host: canary,
  };
  for (const operation of steady) {
    const query = isDry(operation);
    const plain = await ask(requestOf(operation, { query }));
    const told = await ask(requestOf(operation, { query, headers: forwarded }));
    expect([told.status, lasting(told.text)], operation.operationId).toEqual([
      plain.status,
      lasting(plain.text),
    ]);
    const nobody = await ask(requestOf(operation, { query, headers: forwarded }), null);
    if (operation.security.length > 0) expect(nobody.status).toBe(401);
  }
  const tables = await sql`select tablename from pg_tables where schemaname = 'rolecall'`;
  for (const { tablename } of tables) {
    const rows = await sql`select t::text as row from rolecall.${sql(tablename)} as t`;
    expect(rows.filter(({ row }) => row.includes(canary) || row.includes('203.0.113.7'))).toEqual([]);
  }
});

test('who may not see whether somebody is there gets the same answer either way (N-16)', {
  timeout: 300_000,
}, async () => {
  await service.as().post('/users').send({ id: 'deleted' }).expect(201);
  await service.as().delete('/users/deleted').expect(200);
  const powerless = await service.keyFor('powerless');
  const ids = { there: 'subject', deleted: 'deleted', unknown: 'never-there' };
  const about = endingOperations.filter(({ path }) => path.includes('{user}'));
  expect(about.length).toBeGreaterThan(5);
  for (const operation of about) {
    const query = isDry(operation);
    const answerTo = async (user: string, key: string) => {
      const { status, text } = await ask(requestOf(operation, { path: { user }, query }), key);
      return [status, lasting(text).replaceAll(user, 'somebody')];
    };
    const said = await answerTo(ids.there, powerless);
    expect(said[0], operation.operationId).toBe(403);
    expect(await answerTo(ids.deleted, powerless)).toEqual(said);
    expect(await answerTo(ids.unknown, powerless)).toEqual(said);
    const gone = await answerTo(ids.deleted, service.adminKey);
    // Erasing is for those who were deleted.
    if (gone[0] !== 200) expect(await answerTo(ids.unknown, service.adminKey)).toEqual(gone);
  }
});
