import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { OperationAt, Parameter } from '../../contract/openapi-document.ts';
import { bodyOf, bodyWith, bodyWithout, fieldsOf, goodBody } from './fields.ts';
import { jsonValues, texts } from './values.ts';

/** A request as it goes out: nothing between here and the wire repairs it. */
export interface Request {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** One route, one place of its input, one class of hostile values there. */
export interface Cell {
  readonly name: string;
  readonly requests: fc.Arbitrary<Request>;
  /** Whatever the value, it is to be refused as bad input: 400, 413 or 415. */
  readonly isRefused: boolean;
}

/** Values for what a path names: of somebody and something that is there, so that a check further in is reached. */
const there: Readonly<Record<string, string>> = {
  user: 'subject',
  role: 'loader',
  other: 'viewer',
  permission: 'orders_load_order',
  key: 'AAAAAAAAAAAA',
};

/** A good request for an operation, from what its document says; parts of it may be replaced. */
export function requestOf(
  operation: OperationAt,
  {
    path = {},
    query = [],
    headers = {},
    body,
  }: {
    /** As written in the path. */
    readonly path?: Readonly<Record<string, string>>;
    /** Parameters as written, in place of good ones of the same name. */
    readonly query?: readonly (readonly [name: string, written: string])[];
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: Buffer | string;
  } = {},
): Request {
  const filled = operation.path.replaceAll(
    /\{(\w+)\}/g,
    (_, name: string) => path[name] ?? there[name] ?? 'x',
  );
  const replaced = new Set(query.map(([name]) => name));
  const needed = (operation.parameters ?? [])
    .filter(({ in: place, name, required }) => place === 'query' && required && !replaced.has(name))
    .map((parameter) => `${parameter.name}=${goodValue(parameter)}`);
  const written = [...needed, ...query.map(([, text]) => text)].join('&');
  const sent = body ?? (bodyOf(operation) ? JSON.stringify(goodBody(operation)) : undefined);
  return {
    method: operation.method,
    target: written === '' ? filled : `${filled}?${written}`,
    headers: { ...(sent === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(sent === undefined ? {} : { body: Buffer.from(sent as string) }),
  };
}

function goodValue({ name, schema }: Parameter): string {
  const [example] = (schema['examples'] ?? schema['enum'] ?? []) as string[];
  return encodeURIComponent(example ?? there[name] ?? 'x');
}

/** Every cell of an operation. */
export function cellsOf(operation: OperationAt): readonly Cell[] {
  return [
    ...pathCells(operation),
    ...queryCells(operation),
    ...headerCells(operation),
    ...bodyCells(operation),
  ];
}

/** Percent-encoded as UTF-8, half a surrogate pair as the three bytes that it would be. */
function encoded(text: string): string {
  return text.replaceAll(/[\ud800-\udbff][\udc00-\udfff]|[\s\S]/g, (character) =>
    character.isWellFormed() ? encodeURIComponent(character) : '%ED%A0%80',
  );
}

const unreadable = fc.constantFrom(
  '%',
  '%zz',
  '%a',
  '%ff',
  '%c0%af',
  '%ed%a0%80',
  '%f8%88%80%80%80',
  'a%00b',
  '%u0061',
);
/** Whatever it names, no id, key or parameter can hold it. */
const neverGood = new Set(['NUL', 'half a surrogate pair']);

function pathCells(operation: OperationAt): Cell[] {
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
  const inPath = (name: string, written: fc.Arbitrary<string>) =>
    written.map((text) => requestOf(operation, { path: { [name]: text } }));
  return names.flatMap((name) => [
    ...Object.entries(texts)
      .filter(([kind]) => kind !== 'empty')
      .map(([kind, values]) => ({
        name: `path ${name}: ${kind}`,
        requests: inPath(name, values.filter((text) => text !== '').map(encoded)),
        isRefused: neverGood.has(kind),
      })),
    { name: `path ${name}: unreadable`, requests: inPath(name, unreadable), isRefused: true },
  ]);
}

const ignoredNames = fc.constantFrom(
  ...[
    'surprise',
    '__proto__',
    'constructor',
    'toString',
    'tenant_id',
    'is_admin',
    'user_id',
    'Scope',
    '_method',
  ],
  ...['access_token', 'api_key', 'key%5B%5D', 'a.b', '%zz', ''],
);

function queryCells(operation: OperationAt): Cell[] {
  const described = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  const asked = (written: fc.Arbitrary<readonly (readonly [string, string])[]>) =>
    written.map((query) => requestOf(operation, { query }));
  const one = (name: string, values: fc.Arbitrary<string>) =>
    asked(values.map((text) => [[name, `${name}=${text}`]] as const));
  return [
    ...described.flatMap(({ name }) => [
      ...Object.entries(texts).map(([kind, values]) => ({
        name: `query ${name}: ${kind}`,
        requests: one(name, values.map(encoded)),
        isRefused: neverGood.has(kind),
      })),
      { name: `query ${name}: unreadable`, requests: one(name, unreadable), isRefused: true },
      {
        name: `query ${name}: twice`,
        requests: one(name, fc.constantFrom(`1&${name}=2`, `&${name}=`)),
        isRefused: true,
      },
      {
        name: `query ${name}: as a list or an object`,
        requests: asked(
          fc
            .constantFrom('[]', '[a]', '.a', '[__proto__]')
            .map((end) => [[name, `${name}${end}=1`]] as const),
        ),
        isRefused: true,
      },
    ]),
    {
      name: 'query: unknown',
      requests: asked(ignoredNames.map((name) => [['', `${name}=1`]] as const)),
      isRefused: operation.security.length > 0,
    },
    {
      name: 'query: a thousand',
      requests: asked(fc.constant(Array.from({ length: 1_000 }, (_, at) => ['', `x${at}=1`] as const))),
      isRefused: operation.security.length > 0,
    },
  ];
}

const headerNames = [
  ...[
    'authorization',
    'content-type',
    'content-encoding',
    'idempotency-key',
    'x-request-id',
    'accept',
    'accept-encoding',
  ],
  ...[
    'if-none-match',
    'if-match',
    'cookie',
    'origin',
    'host',
    'expect',
    'range',
    'transfer-encoding',
    'traceparent',
  ],
  ...[
    'x-http-method-override',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'forwarded',
    'x-real-ip',
  ],
  ...[
    'x-user-id',
    'x-tenant',
    'x-original-url',
    'x-rewrite-url',
    'last-event-id',
    'access-control-request-method',
  ],
];

function headerCells(operation: OperationAt): Cell[] {
  return headerNames
    .filter((name) => !['expect', 'transfer-encoding'].includes(name))
    .flatMap((name) =>
      Object.entries(texts).map(([kind, values]) => ({
        name: `header ${name}: ${kind}`,
        requests: values.map((text) => requestOf(operation, { headers: { [name]: headerText(text) } })),
        isRefused: false,
      })),
    );
}

/** What a header can carry of a text: its bytes as Latin-1, and no line ends. */
function headerText(text: string): string {
  return Buffer.from(text.slice(0, 8_000))
    .toString('latin1')
    .replaceAll(/[^\P{Cc}\t\x80-\x9f]/gu, '');
}

function bodyCells(operation: OperationAt): Cell[] {
  const schema = bodyOf(operation);
  if (!schema) return [];
  const good = goodBody(operation);
  const sent = (bodies: fc.Arbitrary<string | Buffer>) =>
    bodies.map((body) => requestOf(operation, { body }));
  return [
    ...fieldsOf(schema).flatMap(({ steps }) => {
      const place = `body /${steps.join('/')}`;
      const put = (values: fc.Arbitrary<string>) =>
        sent(values.map((value) => bodyWith(good, steps, (name) => name + value)));
      return [
        ...Object.entries(texts).map(([kind, values]) => ({
          name: `${place}: ${kind}`,
          requests: put(values.map((text) => JSON.stringify(text))),
          isRefused: neverGood.has(kind),
        })),
        ...Object.entries(jsonValues).map(([kind, values]) => ({
          name: `${place}: ${kind}`,
          requests: put(values),
          isRefused: kind === 'no JSON',
        })),
        {
          name: `${place}: missing`,
          requests: sent(fc.constant(bodyWithout(good, steps))),
          isRefused: false,
        },
        ...(steps.at(-1) === '0' ? [] : [twice(place, steps)]),
      ];
    }),
    ...wholeBodies(JSON.stringify(good)).map(([kind, bodies]) => ({
      name: `body: ${kind}`,
      requests: sent(bodies),
      isRefused: !maybeGood.has(kind),
    })),
    ...Object.entries(jsonValues).map(([kind, bodies]) => ({
      name: `body: ${kind}`,
      requests: sent(bodies),
      isRefused: false,
    })),
    {
      name: 'body: declared as something else',
      requests: otherTypes.map((type) => requestOf(operation, { headers: { 'content-type': type } })),
      isRefused: true,
    },
    {
      name: 'body: an unknown member',
      requests: sent(unknownMembers.map((name) => bodyWith(good, [name], (quoted) => `${quoted}true`))),
      isRefused: true,
    },
  ];

  function twice(place: string, steps: readonly string[]): Cell {
    const bodies = fc
      .constantFrom<[string, string]>(['"a"', '"b"'], ['"a"', '"a"'], ['null', '"root"'])
      .map(([first, second]) =>
        bodyWith(good, steps, (name) => `${name}${first},${escapedOnce(name)}${second}`),
      );
    return { name: `${place}: twice`, requests: sent(bodies), isRefused: true };
  }
}

/** The same name, for who understands escapes. */
const escapedOnce = (name: string) =>
  name.replace(/"(.)/, (_, first: string) => `"\\u${first.charCodeAt(0).toString(16).padStart(4, '0')}`);

const unknownMembers = fc.constantFrom(
  ...[
    'surprise',
    'tenant_id',
    'is_admin',
    'created_by',
    'createdAt',
    'pk',
    'roles',
    'constructor',
    'toString',
    '',
  ],
);

const otherTypes = fc.constantFrom(
  ...[
    'text/plain',
    'text/json',
    'application/x+json',
    'application/jsonx',
    'application/merge-patch+json',
    'json',
  ],
  ...[
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-7',
  ],
  ...['application/json; charset=utf-16', 'application/json,text/plain', '*/*'],
);

const maybeGood = new Set(['bits turned', 'cut off', 'surrounded', 'padded']);

function wholeBodies(
  good: string,
): readonly (readonly [kind: string, bodies: fc.Arbitrary<string | Buffer>])[] {
  const bytes = Buffer.from(good);
  const at = fc.nat({ max: Math.max(0, bytes.length - 1) });
  const injected = (...values: readonly number[][]) =>
    fc
      .constantFrom(...values)
      .map((value) => Buffer.concat([bytes.subarray(0, -1), Buffer.from(value), bytes.subarray(-1)]));
  return [
    [
      'invalid UTF-8',
      injected([0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf8, 0x88, 0x80, 0x80, 0x80]),
    ],
    [
      'other bytes',
      fc.constantFrom(Buffer.from(`\ufeff${good}`), Buffer.from(good, 'utf16le'), gzipSync(good)),
    ],
    [
      'something after it',
      fc.constantFrom('x', '}', good, '\0', ',', '//', '\u00a0').map((after) => good + after),
    ],
    ['cut off', at.map((end) => bytes.subarray(0, end))],
    ['padded', fc.constantFrom(1_048_576, 1_048_575).map((size) => good + ' '.repeat(size - bytes.length))],
    [
      'too large',
      fc.constantFrom(8_388_609, 9_000_000).map((size) => good + ' '.repeat(size - bytes.length)),
    ],
    ['surrounded', fc.constantFrom(' ', '\n\t\r ').map((space) => space + good + space)],
    [
      'bits turned',
      fc.tuple(at, fc.nat({ max: 7 })).map(([place, bit]) => {
        const turned = Buffer.from(bytes);
        turned[place] = (turned[place] ?? 0) ^ (1 << bit);
        return turned;
      }),
    ],
  ];
}
