import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { type InputFault, RolecallError } from '../../../src/domain/errors.ts';
import { parseStrictJson } from '../../../src/http/strict-json.ts';

function parse(body: string | Buffer): unknown {
  return parseStrictJson(Buffer.from(body as string));
}

/** The only fault of a body that must be refused. */
function faultOf(body: string | Buffer): InputFault {
  try {
    parse(body);
  } catch (error) {
    if (!(error instanceof RolecallError)) throw error;
    expect(error.code).toBe('malformed_json');
    expect(error.errors).toHaveLength(1);
    const fault = error.errors?.[0];
    if (fault) return fault;
  }
  throw new Error('the body was accepted');
}

function place(body: string | Buffer): [string, string] {
  const { code, pointer } = faultOf(body);
  return [code, pointer];
}

describe('what is accepted', () => {
  it.each(['{}', '[]', ' {"a": [1, -0.5e+3, true, false, null, "x"]}\r\n\t', '"x"', '0', 'null', '[[],{}]'])(
    'gives what JSON.parse gives for %s',
    (text) => expect(parse(text)).toStrictEqual(JSON.parse(text)),
  );

  it('takes every escape, surrogate pairs and raw Unicode', () => {
    expect(parse('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é😀\u2028\ufeff"')).toBe(
      '"\\/\b\f\n\r\té😀é😀\u2028\ufeff',
    );
  });

  it('takes the same name in different objects, and names that only look alike', () => {
    expect(parse('{"a":{"a":[{"a":1},{"a":2}]},"A":1,"a ":2}')).toEqual({
      a: { a: [{ a: 1 }, { a: 2 }] },
      A: 1,
      'a ': 2,
    });
    expect(Object.keys(parse('{"é":1,"e\u0301":2}') as object)).toHaveLength(2);
  });

  it('takes names of inherited properties as ordinary members', () => {
    const body = parse('{"constructor":{"prototype":1},"toString":2,"hasOwnProperty":3}') as object;
    expect(Object.keys(body)).toEqual(['constructor', 'toString', 'hasOwnProperty']);
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype);
  });
});

describe('bytes', () => {
  const refused: [string, Buffer][] = [
    ['a stray continuation', Buffer.from([0x22, 0x80, 0x22])],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['a truncated character', Buffer.from([0x22, 0xc3])],
    ['UTF-16 with its mark', Buffer.from('\ufeff{}', 'utf16le')],
  ];
  it.each(refused)('refuses %s', (_what, bytes) => expect(place(bytes)).toEqual(['invalid_utf8', '']));

  it('refuses a byte order mark', () => expect(place('\ufeff{}')).toEqual(['byte_order_mark', '']));

  it('goes on reading after a refusal', () => {
    expect(place(Buffer.from([0x22, 0xc3]))).toEqual(['invalid_utf8', '']);
    expect(parse('{"a":"é"}')).toEqual({ a: 'é' });
  });
});

describe('syntax', () => {
  it.each([
    ['', 0],
    ['  ', 2],
    ['{', 1],
    ['{"a"', 4],
    ['{"a":', 5],
    ['{"a":1', 6],
    ['{"a":1,', 7],
    ['{"a":1,}', 7],
    ['{a:1}', 1],
    ["{'a':1}", 1],
    ['{"a" 1}', 5],
    ['[1,]', 3],
    ['[,1]', 1],
    ['[1 2]', 3],
    ['[1}', 2],
    ['{"a":1]', 6],
    ['{} {}', 3],
    ['01', 1],
    ['1.', 1],
    ['.5', 0],
    ['+1', 0],
    ['-', 0],
    ['1e', 1],
    ['NaN', 0],
    ['Infinity', 0],
    ['tru', 0],
    ['nulll', 4],
    ['"abc', 4],
    ['"a\nb"', 2],
    ['"\0"', 1],
    ['"\\x41"', 1],
    ['"\\u12g4"', 1],
    ['"\\', 1],
    ['{}\u00a0', 2],
    ['/* */{}', 0],
  ])('refuses %j at offset %i', (text, offset) => {
    const fault = faultOf(text);
    expect([fault.code, fault.pointer]).toEqual(['syntax', '']);
    expect(fault.detail).toMatch(new RegExp(`^unexpected (character|end) at offset ${offset}$`));
  });

  it('repeats nothing of the body', () => {
    try {
      parse('{"password": "hunter2" oops');
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify(error) + String(error)).not.toMatch(/password|hunter2|oops/);
      expect((error as Error).cause).toBeUndefined();
    }
  });

  const fragment = fc.constantFrom(
    ...['{', '}', '[', ']', ',', ':', '"a":', '"b"', '"', '\\', '\\u00e', '0', '1', '-', '.', 'e', '+'],
    ...['true', 'nul', 'l', ' ', '\n', '\t', '\v', '\u00a0', '\ufeff', '\u2028', 'é'],
  );
  test.prop([fc.array(fragment, { maxLength: 12 }).map((all) => all.join(''))], { numRuns: 20_000 })(
    'draws the same line as JSON.parse',
    (text) => {
      fc.pre(!text.startsWith('\ufeff'));
      let accepted = true;
      try {
        JSON.parse(text);
      } catch {
        accepted = false;
      }
      try {
        parse(text);
        expect(accepted).toBe(true);
      } catch (error) {
        if (!(error instanceof RolecallError)) throw error;
        const code = error.errors?.[0]?.code;
        if (code !== 'duplicate_member') expect([code, accepted]).toEqual(['syntax', false]);
      }
    },
  );
});

describe('members named twice', () => {
  it.each([
    ['{"user":"alice","user":"bob"}', '/user'],
    ['{"a":1,"\\u0061":2}', '/a'],
    ['{"\\u0061":1,"b":2,"a":1}', '/a'],
    ['[0,{"x":[{"k":{},"k":[]}]}]', '/1/x/0/k'],
    ['{"a/b~c":{"":1,"":2}}', '/a~1b~0c/'],
    ['{"1":1,"1":2}', '/1'],
    ['{"a":{"b":1},"a":{"b":1}}', '/a'],
  ])('are found in %s', (text, pointer) => expect(place(text)).toEqual(['duplicate_member', pointer]));
});

describe('strings that cannot be told apart or stored', () => {
  it.each([
    ['{"a":["\\ud800"]}', 'lone_surrogate', '/a/0'],
    ['"\\udc00\\ud800"', 'lone_surrogate', ''],
    ['["\\ud83d😀"]', 'lone_surrogate', '/0'],
    ['["\\ud83d\\u0041"]', 'lone_surrogate', '/0'],
    ['{"a":{"\\uDFFF":1}}', 'lone_surrogate', '/a'],
    ['{"a":"x\\u0000y"}', 'nul', '/a'],
    ['{"a":{"\\u0000":1}}', 'nul', '/a'],
    ['{"a":{"__proto__":{}}}', 'reserved_member', '/a/__proto__'],
    ['{"\\u005f_proto__":1}', 'reserved_member', '/__proto__'],
  ])('refuses %s', (text, code, pointer) => expect(place(text)).toEqual([code, pointer]));

  it('lets an escaped backslash before "u" be', () => {
    expect(parse('"\\\\ud800 \\\\u0000"')).toBe('\\ud800 \\u0000');
  });

  it('takes __proto__ as a value', () => expect(parse('["__proto__"]')).toEqual(['__proto__']));
});

describe('levels', () => {
  it('takes 32 and refuses the 33rd', () => {
    expect(() => parse('['.repeat(32) + ']'.repeat(32))).not.toThrow();
    expect(() => parse(`${'{"a":'.repeat(32)}1${'}'.repeat(32)}`)).not.toThrow();
    expect(place('['.repeat(33) + ']'.repeat(33))).toEqual(['too_deep', '/0'.repeat(32)]);
    expect(place(`${'[{"a":'.repeat(16)}{}${'}]'.repeat(16)}`)).toEqual(['too_deep', '/0/a'.repeat(16)]);
  });

  it('counts levels, not brackets', () => {
    expect(() => parse(`[${Array(1000).fill('[[],{}]').join()}]`)).not.toThrow();
    expect(parse(`"${'['.repeat(100)}"`)).toBe('['.repeat(100));
  });
});

const text = fc.string({ unit: 'binary' }).filter((said) => !said.includes('\0'));
const name = text.filter((said) => said !== '__proto__');
const { tree: json } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false, ''),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    text,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(name, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

test.prop([json, fc.constantFrom(undefined, 1, '\t')])(
  'every acceptable value comes back',
  (value, space) => {
    expect(parse(JSON.stringify(value, null, space))).toStrictEqual(value);
  },
);

/** The same name with some of its characters written as escapes. */
function respelled(said: string, escaped: boolean): string {
  if (!escaped) return JSON.stringify(said);
  const units = Array.from({ length: said.length }, (_, at) =>
    said.charCodeAt(at).toString(16).padStart(4, '0'),
  );
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
}

const member = fc.record({ name, before: fc.dictionary(name, json, { maxKeys: 3, noNullPrototype: true }) });
const surroundings = fc.oneof(member, fc.record({ before: fc.array(json, { maxLength: 3 }) }));

test.prop([fc.array(surroundings, { maxLength: 20 }), member, json, json, fc.boolean(), fc.boolean()])(
  'a member named twice is found wherever it is',
  (path, twin, first, second, escapedFirst, escapedSecond) => {
    const others = Object.entries(twin.before).filter(([other]) => other !== twin.name);
    const members = [
      `${respelled(twin.name, escapedFirst)}:${JSON.stringify(first)}`,
      ...others.map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)}`),
      `${respelled(twin.name, escapedSecond)}:${JSON.stringify(second)}`,
    ];
    let body = `{${members.join()}}`;
    let pointer = `/${twin.name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    for (const around of path) {
      if ('name' in around) {
        const before = Object.entries(around.before).filter(([other]) => other !== around.name);
        const earlier = before.map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)},`);
        body = `{${earlier.join('')}${JSON.stringify(around.name)}:${body}}`;
        pointer = `/${around.name.replaceAll('~', '~0').replaceAll('/', '~1')}${pointer}`;
      } else {
        body = `[${around.before.map((value) => `${JSON.stringify(value)},`).join('')}${body}]`;
        pointer = `/${around.before.length}${pointer}`;
      }
    }
    expect(place(body)).toEqual(['duplicate_member', pointer]);
  },
);

describe('hostile sizes finish', () => {
  const mebi = 1024 * 1024;

  it.each([
    ['1 MiB of [', '['.repeat(mebi), 'too_deep'],
    ['170,000 nested objects', '{"a":'.repeat(170_000), 'too_deep'],
    ['1 MiB of quotes', '"'.repeat(mebi), 'syntax'],
    ['1 MiB of digits', `${'1'.repeat(mebi)}x`, 'syntax'],
    ['1 MiB of backslashes, odd', `"${'\\'.repeat(mebi + 1)}"`, 'syntax'],
    ['1 MiB of white space', ' '.repeat(mebi), 'syntax'],
    ['300,000 objects, the last with a twin', `[${'{},'.repeat(300_000)}{"a":1,"a":1}]`, 'duplicate_member'],
    ['1 MiB of escapes and a lone surrogate', `"${'\\u0041'.repeat(mebi / 6)}\\ud800"`, 'lone_surrogate'],
  ])('%s', (_what, body, code) => expect(faultOf(body).code).toBe(code));

  it('90,000 integer-like names, whatever their distance (N-06)', () => {
    for (const distance of [1, 2 ** 10, 2 ** 17, 2 ** 20]) {
      const names = Array.from(
        { length: 90_000 },
        (_, at) => `"${(at * distance) % 4_294_967_291}":0`,
      ).join();
      expect(place(`{${names}}`)[0]).toBe('too_many_names');
      const spread = names.replaceAll(',', '},{');
      expect(place(`[{${spread}}]`)[0]).toBe('too_many_names');
    }
  });

  it('as many members as one likes, of a thousand names', () => {
    const names = Array.from({ length: 1_000 }, (_, at) => `"${at}":0`).join();
    expect(Object.keys(parse(`{${names}}`) as object)).toHaveLength(1_000);
    expect(parse(`[${Array(60).fill(`{${names}}`)}]`)).toHaveLength(60);
    expect(place(`{${names},"1000":0}`)).toEqual(['too_many_names', '/1000']);
  });

  it('a pointer stays short enough to log', () => {
    const long = 'x'.repeat(mebi / 2);
    expect(place(`{"a":{"${long}":1,"${long}":2}}`)).toEqual(['duplicate_member', '/a']);
  });
});
