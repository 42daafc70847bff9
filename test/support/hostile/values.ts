import fc from 'fast-check';

/** A class of values that some reader, somewhere, once understood in a way its writer did not expect. */
type Classes = Readonly<Record<string, fc.Arbitrary<string>>>;

const pick = (...values: readonly string[]) => fc.constantFrom(...values);
/** Something hostile with something ordinary around it, which is how it comes past a check of the first character. */
const within = (hostile: fc.Arbitrary<string>) =>
  fc
    .tuple(pick('', 'a', 'orders'), hostile, pick('', 'b', '.view_order'))
    .map((parts: readonly string[]) => parts.join(''));

/** Texts, before anything is done to carry them. */
export const texts: Classes = {
  empty: fc.constant(''),
  blank: pick(' ', '   ', '\t', '\u00a0', '\u3000', 'root ', ' root', 'root\u2003'),
  NUL: within(pick('\0', '\0\0')),
  controls: within(pick('\u0001', '\u0007', '\b', '\u001b[2J', '\u007f', '\u0085', '\u009b31m')),
  'line ends': within(pick('\n', '\r\n', '\r', '\u2028', '\u2029', '\v', '\f')),
  'half a surrogate pair': within(pick('\ud800', '\udfff', '\udc00\ud800')),
  bidirectional: within(pick('\u202e', '\u2066', '\u200f', '\u061c', '\u2069')),
  'zero width': within(pick('\u200b', '\u200d', '\ufeff', '\u2060', '\u00ad', '\u034f')),
  'look-alikes': pick('аdmin', 'rооt', 'lοader', 'orders․view_order', 'r⁄oot', 'aⅾmin'),
  composed: within(pick('\u00e9', 'e\u0301', '\u1e9b\u0323', 'ﬁ', 'Å', '\u212b')),
  'full width': pick('ｒｏｏｔ', 'ａｄｍｉｎ', 'root／x', '＇ or 1＝1', '．．'),
  'case that folds oddly': pick('İ', 'ı', 'ß', 'ẞ', 'ſ', 'K', 'Root', 'ROOT', 'lOader', 'ADMIN'),
  separators: pick(
    'a_b.c',
    'a.b_c',
    'a:b.c',
    'a.b:c',
    'a..b',
    '.',
    '..',
    '_',
    'a__b',
    'a.',
    'a,b',
    'a|b',
    'a$$b',
  ),
  wildcards: pick('*', 'orders.*', '%', '_', 'orders_view%', 'user_rea_', '\\', '\\%', '?', '[a-z]', '{a,b}'),
  'reserved words': pick(
    ...['admin', 'me', 'new', 'batch', 'null', 'undefined', 'true', 'NaN', '__proto__', 'constructor'],
    ...['prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'then', 'rolecall.check'],
  ),
  SQL: pick(
    ...[
      "'",
      "''",
      '"',
      "' or '1'='1",
      "'; drop table rolecall.users; --",
      "\\'; select 1; --",
      '$$',
      '$1',
      '$tag$',
    ],
    ...[
      '/*',
      '*/',
      '--',
      ';',
      '1) union select null --',
      "E'\\x27'",
      '"; drop schema rolecall cascade; --',
      '`',
      '::text',
    ],
    ...[
      "'||pg_sleep(1)||'",
      '{"a","b"}',
      '{NULL}',
      'NULL',
      'DEFAULT',
      "U&'\\0027'",
      '\\x00',
      'rolecall."users"',
    ],
  ),
  templates: pick(
    '$' + '{7*7}',
    '{{7*7}}',
    '%s%s%n',
    '%d',
    '<%= 1 %>',
    '<script>alert(1)</script>',
    '$' + '{jndi:ldap://x}',
    '$(id)',
    '`id`',
  ),
  'log lines': pick(
    '{"level":60,"event":"request"}\n{"level":60}',
    '\r\n{"level":30}',
    '\u001b[31mred',
    '\u2028{"level":60}',
    `${'x'.repeat(20_000)}"}`,
  ),
  paths: pick(
    '../root',
    '..%2froot',
    '/etc/passwd',
    'a/../b',
    'a//b',
    '/',
    '//',
    '\\\\host',
    'file:///',
    'a;b=c',
    './a',
    'a/.',
  ),
  numbers: pick(
    ...['0', '-1', '-0', '+1', '2147483647', '2147483648', '9007199254740991', '9007199254740992'],
    ...[
      '9223372036854775807',
      '9223372036854775808',
      '1e21',
      '1e3',
      '0x10',
      '٣',
      '1.5',
      '1_000',
      '01',
      '1e400',
      '१',
    ],
  ),
  times: pick(
    ...[
      '2027-01-31',
      '2027-02-30T00:00:00Z',
      '0000-01-01T00:00:00Z',
      '9999-12-31T23:59:59.999Z',
      '+10000-01-01T00:00:00Z',
    ],
    ...[
      '9999-12-31T23:59:59-01:00',
      '1970-01-01T00:00:00Z',
      '1969-12-31T23:59:59Z',
      '2027-01-31T24:00:00Z',
      'infinity',
    ],
    ...[
      '2027-01-31T12:00:60Z',
      '2027-01-31T12:00:00.0000000000000001Z',
      'now',
      'epoch',
      '2027-01-31t12:00:00z',
      '-infinity',
    ],
  ),
  revisions: pick(
    ...[
      '000000000000-0',
      '000000000000--1',
      'ffffffffffff-9007199254740992',
      '000000000000-1e3',
      '-',
      '1',
      '0-0',
    ],
  ),
  long: fc.integer({ min: 90, max: 1_100 }).map((length) => 'x'.repeat(length)),
  'long in code points': fc.integer({ min: 100, max: 300 }).map((length) => '😀'.repeat(length)),
  'very long': fc.constantFrom(5_000, 70_000).map((length) => 'x'.repeat(length)),
  'long and almost good': fc
    .constantFrom('a_', 'a/', 'a.', 'a:', 'a-')
    .map((piece) => `${piece.repeat(5_000)}!`),
  anything: fc.string({ unit: 'binary', maxLength: 40 }),
};

/** JSON texts that are no text in quotes. */
export const jsonValues: Classes = {
  null: fc.constant('null'),
  'a boolean': pick('true', 'false'),
  'a number': pick(
    ...[
      '0',
      '-0',
      '1',
      '-1',
      '1.5',
      '1e3',
      '1e400',
      '-1e400',
      '2147483648',
      '9007199254740993',
      '9223372036854775808',
      '1e-400',
    ],
  ),
  'no JSON': pick('NaN', 'Infinity', 'undefined', '0x10', '01', "'a'", 'nul', '.5', '+1', '', '\\u0061'),
  'an empty list': fc.constant('[]'),
  'a list of one': pick('["root"]', '[[]]', '[null]', '[{}]', '["orders.view_order","orders.view_order"]'),
  'an empty object': fc.constant('{}'),
  'an object': pick(
    '{"$gt":""}',
    '{"toString":1}',
    '{"length":1}',
    '{"then":1}',
    '{"valueOf":"x","toJSON":1}',
  ),
  'what every object inherits': pick(
    '{"__proto__":{"admin":true}}',
    '{"\\u005f_proto__":1}',
    '{"constructor":{"prototype":{"admin":true}}}',
    '[{"__proto__":[]}]',
  ),
  'many entries': fc.constantFrom(1_001, 20_000).map((count) => `[${Array(count).fill('"a.b"').join(',')}]`),
  'many members': fc
    .constantFrom(1_000, 20_000)
    .map((count) => `{${Array.from({ length: count }, (_, at) => `"${at}":0`).join(',')}}`),
  'many levels': fc
    .constantFrom(31, 32, 33, 1_000, 100_000)
    .map((levels) => '['.repeat(levels) + ']'.repeat(levels)),
  'any JSON': fc.json({ maxDepth: 4 }),
};
