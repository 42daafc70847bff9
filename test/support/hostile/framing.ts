import fc from 'fast-check';
import type { Request } from './requests.ts';
import { bytesOf } from './wire.ts';

/** A way to frame a request that two readers on its way could understand differently, or that is none. */
export interface Framing {
  readonly bytes: (request: Request) => fc.Arbitrary<Buffer>;
  /**
   * `refused`: nobody may guess what was meant, so there is one refusal at most and the connection ends. `not done`: it
   * never came whole. `any`: there is one way to understand it, which may be a refusal.
   */
  readonly outcome: 'refused' | 'not done' | 'any';
}

/** What stands for a request hidden in the body of another. */
export const smuggledUser = 'smuggled';

function smuggled({ headers }: Request): Buffer {
  const { authorization = '' } = headers;
  const body = Buffer.from(JSON.stringify({ id: smuggledUser }));
  return bytesOf({
    method: 'POST',
    target: '/users',
    headers: { authorization, 'content-type': 'application/json' },
    body,
  });
}

const crlf = '\r\n';

/** The head with further fields, and then whatever is given. */
function headed(request: Request, fields: readonly string[], body: Buffer | string = ''): Buffer {
  const { body: _, ...bare } = request;
  return Buffer.concat([bytesOf(bare, fields), Buffer.from(body as string)]);
}

function refusedFields(...variants: readonly (readonly string[])[]): Framing {
  return {
    outcome: 'refused',
    bytes: (request) =>
      fc.constantFrom(...variants).map((fields) => {
        const hidden = Buffer.concat([Buffer.from(`0${crlf}${crlf}`), smuggled(request)]);
        return headed(request, fields, hidden);
      }),
  };
}

function chunked(outcome: Framing['outcome'], ...bodies: readonly string[]): Framing {
  return {
    outcome,
    bytes: (request) =>
      fc
        .constantFrom(...bodies)
        .map((body) =>
          headed(
            request,
            ['content-type: application/json', 'transfer-encoding: chunked', 'connection: close'],
            body,
          ),
        ),
  };
}

/** Edits the text of a whole request that is otherwise good. */
function edited(outcome: Framing['outcome'], ...edits: readonly ((text: string) => string)[]): Framing {
  return {
    outcome,
    bytes: (request) =>
      fc
        .constantFrom(...edits)
        .map((edit) =>
          Buffer.from(edit(bytesOf(request, ['connection: close']).toString('latin1')), 'latin1'),
        ),
  };
}

const withField = (field: string) => (text: string) => text.replace(crlf, `${crlf}${field}${crlf}`);
const withMethod = (method: string) => (text: string) => text.replace(/^\S+/, method);
const withTarget = (change: (target: string) => string) => (text: string) =>
  text.replace(/^(\S+) (\S+)/, (_, method: string, target: string) => `${method} ${change(target)}`);
const withVersion = (version: string) => (text: string) => text.replace('HTTP/1.1', version);

/** Every framing by its name (N-12, N-13). */
export const framings: Readonly<Record<string, Framing>> = {
  'a length beside chunks': refusedFields(
    ['content-length: 5', 'transfer-encoding: chunked'],
    ['transfer-encoding: chunked', 'content-length: 5'],
    ['Transfer-Encoding: chunked', 'Content-Length: 0'],
  ),
  'two lengths': refusedFields(
    ['content-length: 5', 'content-length: 6'],
    ['content-length: 5', 'content-length: 5'],
    ['content-length: 5, 5'],
    ['content-length: 5, 6'],
  ),
  'a length that is none': refusedFields(
    ...['five', '+5', '-1', '0x5', '1e1', '5 5', '99999999999999999999999', '', '5,', '٣'].map((length) => [
      `content-length: ${length}`,
    ]),
  ),
  'an encoding that is none': refusedFields(
    ...[
      'xchunked',
      'chunked, identity',
      'identity',
      '"chunked"',
      'chunked\u000b',
      'chunked;q=1',
      'chunked, xchunked',
    ].map((encoding) => [`transfer-encoding: ${encoding}`]),
    ['transfer-encoding : chunked'],
    ['transfer-encoding: chunked', 'transfer-encoding: identity'],
  ),
  'chunks that are none': chunked(
    'refused',
    `zz${crlf}{}${crlf}0${crlf}${crlf}`,
    `-1${crlf}{}${crlf}0${crlf}${crlf}`,
    `fffffffffffffffff${crlf}{}${crlf}0${crlf}${crlf}`,
    `2${crlf}{}0${crlf}${crlf}`,
    `0x2${crlf}{}${crlf}0${crlf}${crlf}`,
    `2\n{}\n0\n\n`,
    `2${crlf}{}XX0${crlf}${crlf}`,
    ` 2${crlf}{}${crlf}0${crlf}${crlf}`,
  ),
  'chunks cut off': chunked(
    'not done',
    `2${crlf}{}`,
    `2${crlf}{}${crlf}`,
    `2${crlf}{}${crlf}0${crlf}`,
    '2',
    '',
  ),
  'odd chunks': chunked(
    'any',
    `2;x=y${crlf}{}${crlf}0${crlf}${crlf}`,
    `2;x="a\\"b"${crlf}{}${crlf}0${crlf}${crlf}`,
    `0002${crlf}{}${crlf}0${crlf}${crlf}`,
    `1${crlf}{${crlf}1${crlf}}${crlf}0${crlf}${crlf}`,
    `2${crlf}{}${crlf}0${crlf}x: y${crlf}${crlf}`,
    `2${crlf}{}${crlf}0${crlf}authorization: Bearer x${crlf}content-length: 3${crlf}${crlf}`,
    `2;${'x'.repeat(20_000)}${crlf}{}${crlf}0${crlf}${crlf}`,
  ),
  'other line ends': edited(
    'refused',
    (text) => text.replaceAll(crlf, '\n'),
    (text) => text.replaceAll(crlf, '\r'),
    (text) => text.replace(`host: x${crlf}`, 'host: x\n'),
    (text) => text.replace(`host: x${crlf}`, 'host: x\r'),
  ),
  'fields that are none': edited(
    'refused',
    ...[
      'no colon',
      ': nameless',
      'na me: x',
      'x : y',
      ' x: y',
      'x\0: y',
      'x: a\0b',
      'x: a\u0001b',
      '\u00e9: x',
    ].map(withField),
  ),
  'a folded field': edited(
    'refused',
    withField(`x: a${crlf} b`),
    withField(`x: a${crlf}\tauthorization: Bearer b`),
  ),
  hosts: edited(
    'any',
    (text) => text.replace(`host: x${crlf}`, ''),
    withField('host: y'),
    (text) => text.replace('host: x', 'host: x:99999/../@y'),
  ),
  'a request line that is none': edited(
    'refused',
    withVersion('HTTP/1.2'),
    withVersion('HTTP/9.9'),
    withVersion('HTP/1.1'),
    withVersion('HTTP/1.1 x'),
    (text) => text.replace(' HTTP/1.1', ''),
    withMethod('FOO'),
    withMethod('get'),
    withMethod('GE\0T'),
    withTarget(() => ''),
    withTarget((target) => `${target} x`),
    withTarget((target) => `${target}\0`),
  ),
  'other targets': edited(
    'any',
    withTarget((target) => `http://x${target}`),
    withTarget((target) => `http://evil.example${target}`),
    withTarget((target) => `//evil.example${target}`),
    withTarget((target) => `/${target}`),
    withTarget((target) => `/.${target}`),
    withTarget((target) => `/x/..${target}`),
    withTarget((target) => `${target}/`),
    withTarget((target) => target.replace(/^\/(\w+)/, (_, first: string) => `/${first.toUpperCase()}`)),
    withTarget((target) =>
      target.replace(/\/(\w)/, (_, first: string) => `/%${first.charCodeAt(0).toString(16)}`),
    ),
    withTarget((target) => target.replaceAll('/', '%2F')),
    withTarget((target) => target.replaceAll('/', '\\')),
    withTarget((target) => target.replace(/\/(\w+)/, '/$1;x=y')),
    withTarget((target) => `${target}#x`),
    withTarget((target) => `${target}?x=1#y`),
    withTarget(() => '*'),
    withTarget(() => '/\u00e9\u00ff'),
    withTarget((target) => `${target.split('?')[0]}?scope=a;scope=b`),
  ),
  'other methods': edited(
    'any',
    ...[
      'HEAD',
      'OPTIONS',
      'TRACE',
      'PROPFIND',
      'LOCK',
      'PURGE',
      'QUERY',
      'M-SEARCH',
      'CONNECT',
      'PATCH',
      'SEARCH',
    ].map(withMethod),
    withField('x-http-method-override: DELETE'),
    withField('x-http-method: DELETE'),
  ),
  'other protocols': edited(
    'any',
    withVersion('HTTP/1.0'),
    withField(`connection: upgrade${crlf}upgrade: websocket`),
    withField(
      `connection: upgrade, http2-settings${crlf}upgrade: h2c${crlf}http2-settings: AAMAAABkAAQAAP__`,
    ),
    withField('expect: 100-continue'),
    withField('expect: 200-ok'),
    () => `PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`,
    () => '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
  ),
  'a field twice': edited(
    'any',
    ...[
      'authorization: Bearer x',
      'content-type: text/plain',
      'x-request-id: a',
      'if-none-match: *',
      'content-encoding: gzip',
    ].map(withField),
  ),
  'too much of a head': edited(
    'refused',
    withField(`x: ${'x'.repeat(65_536)}`),
    withField(Array.from({ length: 10_000 }, (_, at) => `x${at}: y`).join(crlf)),
    withTarget((target) => `${target}?${'x'.repeat(70_000)}`),
  ),
  'one after the other': {
    outcome: 'any',
    bytes: (request) =>
      fc
        .integer({ min: 1, max: 20 })
        .map((times) =>
          Buffer.concat([...Array(times).fill(bytesOf(request)), bytesOf(request, ['connection: close'])]),
        ),
  },
  'cut off': {
    outcome: 'not done',
    bytes: (request) =>
      fc.nat({ max: 10_000 }).map((at) => {
        const whole = bytesOf(request);
        return whole.subarray(0, at % whole.length);
      }),
  },
  'bytes changed': { outcome: 'any', bytes: changed },
};

/** Some bytes of the whole request turned, doubled or taken away. */
function changed(request: Request): fc.Arbitrary<Buffer> {
  const whole = bytesOf(request, ['connection: close']);
  const change = fc.tuple(
    fc.nat({ max: whole.length - 1 }),
    fc.constantFrom('turn', 'put', 'cut'),
    fc.nat({ max: 255 }),
  );
  return fc.array(change, { minLength: 1, maxLength: 6 }).map((changes) => {
    const bytes = [...whole];
    for (const [at, kind, value] of changes) {
      if (kind === 'turn') bytes[at] = value;
      else bytes.splice(at, kind === 'cut' ? 1 : 0, ...(kind === 'put' ? [value] : []));
    }
    return Buffer.from(bytes);
  });
}
