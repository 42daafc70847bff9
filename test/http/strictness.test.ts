import { type OutgoingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { OperationAt, Schema } from '../contract/openapi-document.ts';
import {
  type Answer,
  expectProblem,
  goodBodies,
  goodQueries,
  operations,
  resolved,
} from '../support/contract.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let port: number;
const lines: string[] = [];
const canary = 'canary-7f3a9c51';

beforeAll(async () => {
  service = await startTestService({ onLog: (line) => void lines.push(line) });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  port = (service.app.server.address() as AddressInfo).port;
});
afterAll(() => service.close());

interface Sent {
  readonly method?: string;
  /** Sent as it is written: no client between repairs it. */
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

const json = { 'content-type': 'application/json' };

function send({ method = 'POST', path = '/users', headers = json, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const authorization = `Bearer ${service.adminKey}`;
    const sent = request({ host: '127.0.0.1', port, method, path, headers: { authorization, ...headers } });
    sent.on('error', reject);
    sent.on('response', async (response) => {
      const answered = await text(response);
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers as Record<string, string>,
        text: answered,
        body: answered.startsWith('{') ? JSON.parse(answered) : {},
      });
    });
    if (body !== undefined && headers['transfer-encoding'] === undefined)
      sent.setHeader('content-length', Buffer.byteLength(body));
    sent.end(body);
  });
}

const inside =
  /\b(select|insert|update|delete) .*(from|into|set)\b|rolecall\.(users|identities|roles|permissions|role_|user_|api_keys|revision|journal|personal|epochs|idempotency)|node_modules|\.[tj]s:\d|postgres|sqlstate|violates|stack/i;

/** A refusal: a whole problem, with nothing of the inside in it. */
async function refused(sent: Sent, status: number): Promise<Answer['body']> {
  const answer = await send(sent);
  expect(answer.status, `${JSON.stringify(sent).slice(0, 200)} ${answer.text.slice(0, 300)}`).toBe(status);
  expectProblem(answer);
  expect(answer.text).not.toMatch(inside);
  expect(answer.text).not.toContain(canary);
  return answer.body;
}

async function exists(id: string): Promise<boolean> {
  return (
    (await send({ method: 'GET', path: `/users/${encodeURIComponent(id)}`, headers: {} })).status === 200
  );
}

/** The address of an operation with something that could be there in it. */
function pathOf({ path }: OperationAt): string {
  const mapping = '019aa3f0-7c1e-7f04-9d6b-2f6f0c1c9a55';
  const values: Record<string, string> = {
    user: 'root',
    role: 'loader',
    other: 'user',
    key: 'AAAAAAAAAAAA',
    mapping,
  };
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? 'orders_load_order');
}

/** What the log says of one request; the last line of it may come after the answer. */
function loggedOf(requestId: string): object[] {
  return lines.filter((line) => line.includes(requestId)).map((line) => JSON.parse(line));
}

const pointersIn = (problem: Answer['body']): string[] =>
  (problem.errors ?? []).map(({ pointer }: { pointer: string }) => pointer);

const describedBody = ({ requestBody }: OperationAt) => requestBody?.content['application/json']?.schema;
const withBody = operations.filter(describedBody);
const withoutBody = operations.filter((operation) => operation.method !== 'GET' && !describedBody(operation));

describe('a body is JSON that nobody can read in another way', () => {
  const deep = (levels: number) => `{"id":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  const broken: Readonly<Record<string, readonly [body: string | Buffer, pointer: string, code: string]>> = {
    'a member twice': ['{"id":"a","id":"b"}', '/id', 'duplicate_member'],
    'a member twice, once escaped': ['{"id":"a","i\\u0064":"b"}', '/id', 'duplicate_member'],
    'invalid UTF-8': [
      Buffer.from([...Buffer.from('{"id":"'), 0xff, ...Buffer.from('"}')]),
      '',
      'invalid_utf8',
    ],
    'an overlong form': [
      Buffer.from([...Buffer.from('{"id":"'), 0xc0, 0xaf, ...Buffer.from('"}')]),
      '',
      'invalid_utf8',
    ],
    'surrogates in UTF-8': [
      Buffer.from([...Buffer.from('{"id":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]),
      '',
      'invalid_utf8',
    ],
    'UTF-16': [Buffer.from('{"id":"a"}', 'utf16le'), '', 'syntax'],
    gzip: [gzipSync('{"id":"a"}'), '', 'invalid_utf8'],
    'a byte order mark': ['\ufeff{"id":"a"}', '', 'byte_order_mark'],
    'half a surrogate pair': ['{"id":"\\ud800"}', '/id', 'lone_surrogate'],
    'half a pair in a name': ['{"\\udfff":"a"}', '', 'lone_surrogate'],
    NUL: ['{"id":"a\\u0000b"}', '/id', 'nul'],
    __proto__: ['{"__proto__":{"id":"a"}}', '/__proto__', 'reserved_member'],
    '__proto__ escaped': ['{"\\u005f_proto__":{"id":"a"}}', '/__proto__', 'reserved_member'],
    'white space': [' ', '', 'syntax'],
    'half of it': ['{"id":"a"', '', 'syntax'],
    'something after it': ['{"id":"a"} x', '', 'syntax'],
    'two of it': ['{"id":"a"}{"id":"b"}', '', 'syntax'],
    'a trailing comma': ['{"id":"a",}', '', 'syntax'],
    'a comment': ['{"id":"a"/* */}', '', 'syntax'],
    'single quotes': ["{'id':'a'}", '', 'syntax'],
    NaN: ['{"id":NaN}', '', 'syntax'],
    'a raw line end': ['{"id":"a\nb"}', '', 'syntax'],
  };

  test.for(Object.entries(broken))('%s is refused with its place', async ([, [body, pointer, code]]) => {
    const problem = await refused({ body }, 400);
    expect(problem).toMatchObject({ code: 'malformed_json', errors: [{ pointer, code }] });
    expect(await exists('a')).toBe(false);
  });

  test('of no bytes is none, whatever it is declared as', async () => {
    expect((await refused({ body: '' }, 400)).code).toBe('invalid_input');
    const granted = await send({ method: 'PUT', path: '/users/root/roles/loader?dryRun=true', body: '' });
    expect(granted.status).toBe(201);
  });

  test('of at most 32 levels', async () => {
    expect((await refused({ body: deep(32) }, 400)).code).toBe('invalid_input');
    for (const levels of [33, 100_000])
      expect((await refused({ body: deep(levels) }, 400)).errors).toMatchObject([{ code: 'too_deep' }]);
    await refused({ body: '['.repeat(1_000_000) }, 400);
    await refused({ body: '{"a":'.repeat(170_000) }, 400);
  });

  test('of at most 1 MiB, however it comes', async () => {
    const padded = (size: number) =>
      `{"id":"size-${size}"${' '.repeat(size - `{"id":"size-${size}"}`.length)}}`;
    const largest = 1_048_576;
    expect((await send({ body: padded(largest) })).status).toBe(201);
    expect((await refused({ body: padded(largest + 1) }, 413)).code).toBe('payload_too_large');
    const chunked = { ...json, 'transfer-encoding': 'chunked' };
    expect((await refused({ body: padded(largest + 2), headers: chunked }, 413)).code).toBe(
      'payload_too_large',
    );
    expect((await send({ body: padded(largest - 1), headers: chunked })).status).toBe(201);
  });
});

describe('a body is declared as JSON', () => {
  const typed = (type: string) => ({ 'content-type': type });

  test('in any spelling of application/json, with UTF-8 or no charset', async () => {
    const types = [
      'application/json',
      'APPLICATION/JSON',
      'application/json; charset=utf-8',
      'application/json;charset="UTF-8"',
    ];
    for (const [index, type] of types.entries())
      expect((await send({ headers: typed(type), body: `{"id":"typed-${index}"}` })).status, type).toBe(201);
  });

  test('and is 415 as anything else, or as nothing', async () => {
    const types = [
      'text/plain',
      'text/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ];
    const near = [
      'application/jsonx',
      'application/x+json',
      'application/problem+json',
      'application/merge-patch+json',
    ];
    const odd = [
      'json',
      'application',
      '*/*',
      'application/json,text/plain',
      'application/ json',
      'xapplication/json',
    ];
    for (const type of [...types, ...near, ...odd])
      expect((await refused({ headers: typed(type), body: '{"id":"never"}' }, 415)).code).toBe(
        'unsupported_media_type',
      );
    expect((await refused({ headers: {}, body: '{"id":"never"}' }, 415)).code).toBe('unsupported_media_type');
    expect(await exists('never')).toBe(false);
  });

  test('in no other charset, which somebody in between might read', async () => {
    for (const charset of ['utf-7', 'utf-16', 'utf-16le', 'utf-32', 'iso-8859-1', 'us-ascii', 'nonsense'])
      await refused({ headers: typed(`application/json; charset=${charset}`), body: '{"id":"+AGE-"}' }, 415);
    expect(await exists('+AGE-')).toBe(false);
  });

  test('and is not packed', async () => {
    for (const encoding of ['gzip', 'deflate', 'br', 'zstd'])
      await refused({ headers: { ...json, 'content-encoding': encoding }, body: '{"id":"packed"}' }, 415);
    expect(await exists('packed')).toBe(false);
  });

  test('and whatever is accepted is checked', async () => {
    const spellings = [
      ' application/json',
      'application/json\t',
      'application/json\t;',
      'application/json ;',
      'application/json;',
      'application/json;;',
      'application/json; x=y',
    ];
    for (const type of spellings) {
      const answer = await send({ headers: typed(type), body: `{"id":"unchecked","${canary}":1}` });
      expect(answer.status, type).toBeOneOf([400, 415]);
    }
    expect(await exists('unchecked')).toBe(false);
  });
});

describe('a body has the members it is described with', () => {
  test.for(withBody)('$method $path refuses a member that it does not know', async (operation) => {
    const problem = await refused(
      { method: operation.method, path: pathOf(operation), body: '{"surprise":true,"constructor":1}' },
      400,
    );
    expect(problem.code).toBe('invalid_input');
    expect(pointersIn(problem)).toEqual(expect.arrayContaining(['/surprise', '/constructor']));
  });

  test.for(withBody)('$method $path coerces nothing', async (operation) => {
    const schema = resolved(describedBody(operation) as Schema);
    const [whole] = [schema, ...((schema['anyOf'] as Schema[]) ?? [])].filter((one) => one['properties']);
    for (const [name, member] of Object.entries(whole?.['properties'] as Record<string, Schema>)) {
      const kinds = JSON.stringify(resolved(member)).replaceAll('"type":"integer"', '"type":"number"');
      const values: Record<string, unknown> = {
        null: null,
        number: -0,
        boolean: true,
        string: 'true',
        array: [[]],
        object: {},
      };
      for (const [kind, value] of Object.entries(values)) {
        if (kinds.includes(`"type":"${kind}"`) || new RegExp(`"type":\\[[^\\]]*"${kind}"`).test(kinds))
          continue;
        const body = JSON.stringify({ [name]: value });
        const problem = await refused({ method: operation.method, path: pathOf(operation), body }, 400);
        expect(
          pointersIn(problem).some((pointer) => pointer.startsWith(`/${name}`)),
          body,
        ).toBe(true);
      }
    }
  });

  test.for(withBody)('$method $path takes an object and nothing else', async (operation) => {
    for (const body of ['[]', '[{}]', '"x"', '5', 'true', '1e400'])
      expect((await refused({ method: operation.method, path: pathOf(operation), body }, 400)).code).toBe(
        'invalid_input',
      );
  });

  test.for(withoutBody)('$method $path, which takes none, does not pass over one', async (operation) => {
    const path = `${pathOf(operation)}?dryRun=true`;
    await refused({ method: operation.method, path, body: '{"scope":"org/acme"}' }, 400);
  });
});

describe('a query says what it is described with, once', () => {
  /** A request that is good but for its query, which has what it must have besides. */
  const asking = (operation: OperationAt, query: string): Sent => {
    const body = goodBodies[operation.operationId];
    const rest = body ? { headers: json, body: JSON.stringify(body) } : { headers: {} };
    const needed = Object.entries(goodQueries[operation.operationId] ?? {})
      .filter(([name]) => !query.startsWith(`${name}=`))
      .map(([name, value]) => `&${name}=${value}`);
    return { method: operation.method, path: `${pathOf(operation)}?${query}${needed.join('')}`, ...rest };
  };
  const tried = operations.filter(({ security }) => security.length > 0);
  const parameters = tried.flatMap((operation) =>
    (operation.parameters ?? [])
      .filter((one) => one.in === 'query')
      .map(({ name }) => ({ ...operation, name })),
  );

  test.for(tried)('$method $path refuses a parameter that it does not know', async (operation) => {
    for (const name of ['surprise', 'constructor', '__proto__', 'user_id', 'Scope'])
      expect(pointersIn(await refused(asking(operation, `${name}=1`), 400))).toEqual([`/query/${name}`]);
  });

  test.for(parameters)('$method $path takes one $name, and in readable form', async (operation) => {
    const { name } = operation;
    for (const value of ['%zz', '%ff', '%00', 'a%0', `true&${name}=true`])
      expect(pointersIn(await refused(asking(operation, `${name}=${value}`), 400))).toEqual([
        `/query/${name}`,
      ]);
    for (const odd of [`${name}[]`, `${name}[a]`, '%zz'])
      expect(pointersIn(await refused(asking(operation, `${odd}=true`), 400))).toEqual([`/query/${odd}`]);
  });
});

describe('an id in a path', () => {
  const get = (path: string) => ({ method: 'GET', path, headers: {} });

  test.for([
    'auth0|x/y@z',
    'a b',
    'ü',
    '😀'.repeat(255),
    'x'.repeat(255),
    '...',
    '.a',
    '__proto__',
    'constructor',
    'me',
    '%',
    '?',
    '#',
    ';x=1',
  ])('is any string that can be one, percent-encoded: %s', async (id) => {
    expect((await send({ body: JSON.stringify({ id }) })).status).toBe(201);
    const found = await send(get(`/users/${encodeURIComponent(id)}/permissions`));
    expect(found).toMatchObject({ status: 200, body: { user: id } });
  });

  test('is refused where it cannot be one, with its place', async () => {
    for (const id of [
      '.',
      '..',
      '%2e',
      '%2E%2E',
      '%00',
      'a%00b',
      '%0a',
      '%7f',
      encodeURIComponent('😀'.repeat(256)),
    ])
      expect((await refused(get(`/users/${id}/permissions`), 400)).errors).toMatchObject([
        { pointer: '/path/user' },
      ]);
    for (const role of ['__proto__', 'Admin', '%61%20', 'x'.repeat(101), '%D0%B0dmin'])
      expect((await refused(get(`/roles/${role}`), 400)).errors).toMatchObject([{ pointer: '/path/role' }]);
  });

  test('that is no percent-encoded UTF-8 is refused', async () => {
    for (const id of ['%zz', '%', '%a', '%ff', '%c0%af', '%ed%a0%80'])
      expect((await refused(get(`/users/${id}/permissions`), 400)).code).toBe('invalid_input');
  });

  test('that is far too long is refused', async () => {
    const answer = await send(get(`/users/${'x'.repeat(12_000)}/permissions`));
    expectProblem(answer);
    expect(answer.status).toBeOneOf([400, 404, 414]);
  });

  test('means the same in every spelling', async () => {
    for (const spelling of ['root', '%72oot', 'r%6Fot', '%72%6f%6f%74'])
      expect((await send(get(`/users/${spelling}`))).body.id).toBe('root');
    for (const other of ['Root', 'root%20', 'root%2f', 'root;x', 'ROOT'])
      expect((await send(get(`/users/${other}`))).status).toBe(404);
  });
});

test('bad input always brings its places', async () => {
  const bad: readonly Sent[] = [
    { method: 'DELETE', path: '/users/root/roles/loader', body: '{"scope":"org"}' },
    { path: '/permissions', body: '{"permission":"rolecall.anything"}' },
    {
      path: '/permissions/batch',
      body: '{"permissions":[{"permission":"a.b"},{"permission":"rolecall.anything"}]}',
    },
    { path: '/keys', body: '{"user":"root","name":"x","expiresAt":"2020-01-01T00:00:00Z"}' },
    { headers: { ...json, 'idempotency-key': 'a b' }, body: '{"id":"never"}' },
    { method: 'GET', path: '/users/%zz', headers: {} },
  ];
  const unplaced: string[] = [];
  for (const sent of bad) {
    const problem = await refused(sent, 400);
    expect(problem.code).toBe('invalid_input');
    if (pointersIn(problem).length === 0) unplaced.push(`${sent.path ?? '/users'}: ${problem.detail}`);
  }
  expect(unplaced).toEqual([]);
});

describe('a request id', () => {
  const ask = (id: string | string[]) =>
    send({ method: 'GET', path: '/version', headers: { 'x-request-id': id } });

  test('that is 1 to 128 safe characters comes back', async () => {
    for (const id of ['a', 'req-1.2_3~4:5@6/7+8=9', 'x'.repeat(128)])
      expect((await ask(id)).headers['x-request-id']).toBe(id);
  });

  test('that is none is replaced by one of our own, each time another', async () => {
    const made = [];
    for (const id of ['', 'x'.repeat(129), 'a b', 'a,b', '<script>', '\u00e9', ['a', 'b'], 'a\tb'])
      made.push((await ask(id)).headers['x-request-id']);
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{24}$/);
    expect(new Set(made).size).toBe(made.length);
  });

  test('stands in the refusal and in the log', async () => {
    const id = 'find-me-again';
    const headers = { ...json, 'x-request-id': id };
    expect((await refused({ headers, body: '{' }, 400)).requestId).toBe(id);
    await expect
      .poll(() => loggedOf(id))
      .toMatchObject([{ requestId: id, event: 'request', status: 400, route: '/users', method: 'POST' }]);
  });
});

describe('bytes that are no request', () => {
  const exchange = (bytes: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      text(socket).then(resolve, reject);
    });
  const head = (...fields: readonly string[]) =>
    ['POST /users HTTP/1.1', 'host: x', ...fields, '', ''].join('\r\n');

  test.for([
    ['garbage', 'garbage\r\n\r\n', 400],
    ['two lengths', head('content-length: 5', 'content-length: 6'), 400],
    ['a length beside chunks', head('content-length: 5', 'transfer-encoding: chunked'), 400],
    ['a length that is none', head('content-length: five'), 400],
    ['a header of 64 kB', head(`x: ${'x'.repeat(65_536)}`), 413],
  ] as const)('%s get a problem, and the connection ends', async ([, bytes, status]) => {
    const [headers = '', body = ''] = (await exchange(bytes)).split('\r\n\r\n');
    expect(headers).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(headers.toLowerCase()).toContain('content-type: application/problem+json');
    const problem = JSON.parse(body);
    expect(problem).toMatchObject({ status, requestId: expect.any(String) });
    expect(headers).toContain(problem.requestId);
  });
});

describe('a failure inside', () => {
  let sql: postgres.Sql;
  beforeAll(() => {
    sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
  });
  afterEach(async () => {
    await sql`drop trigger if exists fail on rolecall.users`;
  });
  afterAll(() => sql.end());

  test.for([
    ['22P02', 500, 'internal'],
    ['XX000', 500, 'internal'],
    ['23505', 500, 'internal'],
    ['42P01', 503, 'not_ready'],
    ['53300', 503, 'unavailable'],
    ['57014', 503, 'unavailable'],
  ] as const)(
    'of class %s is told by its code, and nothing of it leaves or is logged (N-11)',
    async ([state, status, code]) => {
      await sql.unsafe(`
      create or replace function rolecall.fail() returns trigger language plpgsql as $$
      begin raise exception '${canary} in a message' using errcode = '${state}', detail = '${canary}', hint = '${canary}'; end $$;
      create trigger fail before insert on rolecall.users for each row execute function rolecall.fail()`);
      const problem = await refused(
        { body: JSON.stringify({ id: canary, email: `${canary}@example.com` }) },
        status,
      );
      expect(problem.code).toBe(code);
      await expect
        .poll(() => loggedOf(problem.requestId))
        .toMatchObject([
          { event: 'failure', code, state },
          { event: 'request', status },
        ]);
    },
  );
});

describe('the log', () => {
  test('is one line of JSON for each event, short, without secrets and without what people wrote', async () => {
    const written = [canary, 'a\r\nb', '\u001b[31mred', '\u2028', '{"level":60}', 'x'.repeat(900)];
    for (const word of written) {
      const id = `${canary} ${word}`;
      await send({ body: JSON.stringify({ id, email: `${canary}@example.com` }) });
      await send({
        method: 'GET',
        path: `/users/${encodeURIComponent(id)}/permissions?scope=${canary}`,
        headers: {},
      });
      await send({ method: 'PUT', path: '/users/root/roles/loader', body: JSON.stringify({ reason: id }) });
      await send({ method: 'GET', path: '/me/permissions', headers: { authorization: `Bearer ${canary}` } });
      await send({ headers: { ...json, 'idempotency-key': `${canary} not safe` }, body: '{}' });
    }
    await send({ body: JSON.stringify({ user: 'root', name: canary }), path: '/keys' });
    expect(lines.length).toBeGreaterThan(100);
    for (const line of lines) {
      expect(line).toMatch(/^\{[^\r\n\u2028\u2029]*\}\n$/);
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number), time: expect.anything() });
      expect(line.length).toBeLessThan(16_384);
      expect(line).not.toMatch(/rc_[0-9A-Za-z]{12}_/);
      expect(line).not.toContain(canary);
    }
  });

  test('has a stack only for what is ours to repair', () => {
    const events = lines.map((line) => JSON.parse(line));
    for (const event of events.filter(({ code }) => code !== 'internal')) {
      expect(JSON.stringify(event)).not.toMatch(/\bat .+:\d+:\d+|"stack"/);
      if (event.event === 'request') expect(event.level, JSON.stringify(event)).toBeLessThan(40);
    }
    expect(
      events
        .filter(({ event }) => event === 'failure')
        .every(({ code }) => /internal|not_ready|unavailable/.test(code)),
    ).toBe(true);
  });

  test('nothing that came in has changed what every object has (N-07)', () => {
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(12);
  });
});
