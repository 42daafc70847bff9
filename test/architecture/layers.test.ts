// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the fixtures are code in strings
import { describe, expect, it } from 'vitest';
import { importsOf, readCode, readSources, rooms, violations } from './import-graph.ts';

/** What is wrong with a small house; a file may be given by the specifiers it imports. */
function wrongs(house: Readonly<Record<string, string | readonly string[]>>): string[] {
  const texts = Object.entries(house).map(([file, content]): [string, string] => [
    file,
    typeof content === 'string' ? content : content.map((specifier) => `import '${specifier}';\n`).join(''),
  ]);
  return violations(new Map(texts));
}

it('src keeps the rules of the house', () => {
  const sources = readSources();
  expect(sources.size).toBeGreaterThan(0);
  expect(violations(sources)).toEqual([]);
});

describe('who may import whom', () => {
  /** The table once more, as a picture: row imports column; x yes, t types only. */
  const columns = [
    'domain',
    'importers',
    'observability',
    'config',
    'storage',
    'services',
    'http',
    'runtime.ts',
  ];
  const picture: Record<string, string> = {
    domain: 'x.......',
    importers: 'xx......',
    observability: 't.x.....',
    config: '...x....',
    storage: 'x.x.x...',
    services: 'x.x.xx..',
    http: 'xxx..xx.',
    'runtime.ts': 't.xxxx.x',
    cli: 'xxxxxxxx',
    'main.ts': 'xxxxxxxx',
    client: '........',
    console: '........',
  };
  const fileIn = (room: string, name: string) => (room.endsWith('.ts') ? room : `${room}/${name}.ts`);

  it('names every room', () => expect(Object.keys(picture)).toEqual(Object.keys(rooms)));

  it.each(Object.entries(picture))('%s', (room, row) => {
    for (const [index, column] of columns.entries()) {
      const from = fileIn(room, 'a');
      const to = fileIn(column, 'b');
      if (from === to) continue;
      const specifier = room.endsWith('.ts') ? `./${to}` : `../${to}`;
      const byValue = wrongs({ [from]: `import { b } from '${specifier}';`, [to]: '' });
      const byType = wrongs({ [from]: `import type { B } from '${specifier}';`, [to]: '' });
      expect([byValue.length, byType.length], `${from} -> ${to}`).toEqual(
        row[index] === 'x' ? [0, 0] : row[index] === 't' ? [1, 0] : [1, 1],
      );
    }
  });

  it('gives client to the console only, and the console to nobody', () => {
    expect(wrongs({ 'console/a.ts': ['../client/index.ts'] })).toEqual([]);
    expect(wrongs({ 'cli/a.ts': ['../client/index.ts'] })).toHaveLength(1);
    expect(wrongs({ 'main.ts': ['./client/index.ts'] })).toHaveLength(1);
    expect(wrongs({ 'cli/a.ts': ['../console/a.ts'] })).toHaveLength(1);
    expect(wrongs({ 'client/a.ts': ['../console/a.ts'] })).toHaveLength(1);
  });

  it('prints the path', () => {
    expect(wrongs({ 'domain/a/b.ts': ['../../http/c.ts'] })).toEqual([
      'domain/a/b.ts -> http/c.ts: domain may import from nothing in src but itself, not from http',
    ]);
  });

  it.each([
    ['a value', "import { b } from '../http/b.ts';"],
    ['a type', "import type { B } from '../http/b.ts';"],
    ['a default', "import b from '../http/b.ts';"],
    ['all of it', "import * as b from '../http/b.ts';"],
    ['several lines', "import b, {\n  c,\n  type D as E, // why\n} from '../http/b.ts';"],
    ['an effect', "import '../http/b.ts';"],
    ['a re-export', "export { b } from '../http/b.ts';"],
    ['a re-export of everything', "export * from '../http/b.ts';"],
    ['a re-export of types', "export type { B } from '../http/b.ts';"],
    ['a dynamic import', "const b = await import('../http/b.ts');"],
    ['a dynamic import in a template', 'const b = `x${await import(`../http/b.ts`)}y`;'],
    ['a type by import()', "type B = import('../http/b.ts').B;"],
    ['require', "const b = require('../http/b.ts');"],
    ['an import after an export', "export class A {}\nimport { b } from '../http/b.ts';"],
    ['an import after a regular expression', "const quote = /[\"'`]/;\nimport { b } from '../http/b.ts';"],
    ['double quotes, no spaces', 'import{b}from"../http/b.ts"'],
  ])('sees %s', (_what, text) => expect(wrongs({ 'domain/a.ts': text })).toHaveLength(1));

  it.each([
    ['a comment', "// import '../http/b.ts';\n/* import '../http/b.ts'; */"],
    ['a documentation comment', "/**\n * import { b } from '../http/b.ts';\n */"],
    ['a string', `const text = "import '../http/b.ts'";`],
    ['a template', "const text = `${'{'} import '../http/b.ts' `;"],
    ['a method', "loader.import('../http/b.ts');"],
    ['a variable named from', "export const from = '../http/b.ts';"],
  ])('is not taken in by %s', (_what, text) => expect(wrongs({ 'domain/a.ts': text })).toEqual([]));

  it('knows type imports from others', () => {
    const typeOnly = (text: string) => importsOf('runtime.ts', text).map((found) => found.typeOnly);
    expect(typeOnly("import type { A } from './domain/a.ts'; export type * from './domain/a.ts';")).toEqual([
      true,
      true,
    ]);
    expect(typeOnly("import { type A } from './domain/a.ts'; import type from './domain/a.ts';")).toEqual([
      false,
      false,
    ]);
    expect(typeOnly("export class A {}\nimport type { B } from './domain/b.ts';")).toEqual([true]);
  });

  it('refuses what is in no room', () => {
    expect(wrongs({ 'plugins/a.ts': '' })).toEqual(['plugins/a.ts: plugins is no room of the house']);
    expect(wrongs({ 'helper.ts': '' })).toEqual(['helper.ts: helper.ts is no room of the house']);
    expect(wrongs({ 'cli/a.ts': ['../../test/b.ts'] })).toEqual([
      'cli/a.ts -> ../test/b.ts: it leaves the rooms of src',
    ]);
    expect(wrongs({ 'cli/a.ts': ['#domain/b.ts'] })).toHaveLength(1);
  });
});

describe('what may come from outside', () => {
  it.each([
    [
      'domain',
      ['yaml', 'node:crypto', 'node:zlib'],
      ['node:fs', 'zod', 'crypto', 'yaml-extra', '@scope/yaml', 'fastify'],
    ],
    ['config', ['zod', 'zod/v4'], ['node:fs', 'dotenv', '@zod/core']],
    ['client', [], ['node:http', 'undici', 'zod']],
    ['storage', ['postgres', 'drizzle-orm/postgres-js', 'node:net'], ['node:process']],
  ])('%s', (room, allowed, refused) => {
    for (const specifier of allowed) expect(wrongs({ [`${room}/a.ts`]: [specifier] }), specifier).toEqual([]);
    for (const specifier of refused)
      expect(wrongs({ [`${room}/a.ts`]: [specifier] }), specifier).toHaveLength(1);
  });

  it('a computed import is refused where the list is closed', () => {
    for (const argument of ['name', '`./${name}.ts`', "'./' + name"]) {
      expect(wrongs({ 'domain/a.ts': `await import(${argument});` }), argument).toHaveLength(1);
      expect(wrongs({ 'storage/a.ts': `await import(${argument});` }), argument).toEqual([]);
    }
  });
});

describe('circles', () => {
  it('between files', () => {
    expect(
      wrongs({ 'domain/a.ts': ['./b.ts'], 'domain/b.ts': ['./c.ts'], 'domain/c.ts': ['./b.ts'] }),
    ).toEqual(['cycle: domain/b.ts -> domain/c.ts -> domain/b.ts']);
    expect(wrongs({ 'domain/a.ts': ['./a.ts'] })).toEqual(['cycle: domain/a.ts -> domain/a.ts']);
  });

  it('of types', () => {
    const house = {
      'domain/a.ts': "import type { B } from './b.ts';",
      'domain/b.ts': "export type { A } from './a.ts';",
    };
    expect(wrongs(house)).toEqual(['cycle: domain/a.ts -> domain/b.ts -> domain/a.ts']);
  });

  it('are not seen where two ways lead to one place', () => {
    expect(
      wrongs({ 'domain/a.ts': ['./b.ts', './c.ts'], 'domain/b.ts': ['./c.ts'], 'domain/c.ts': '' }),
    ).toEqual([]);
  });

  it('between rooms, though no two files import each other', () => {
    const house = { 'main.ts': ['./cli/a.ts'], 'cli/a.ts': '', 'cli/b.ts': ['../main.ts'] };
    expect(wrongs(house)).toEqual(['cli -> main.ts -> cli: cli/b.ts -> main.ts, main.ts -> cli/a.ts']);
  });
});

describe('names', () => {
  it.each(['utils', 'helpers', 'common', 'shared', 'lib'])('refuses %s', (name) => {
    expect(wrongs({ [`http/${name}/a.ts`]: '' })).toHaveLength(1);
    expect(wrongs({ [`http/${name}.ts`]: '' })).toHaveLength(1);
    expect(wrongs({ [`${name}/a.ts`]: '' })).toHaveLength(2);
  });

  it('takes three barrels and no other', () => {
    const allowed = { 'storage/schema/index.ts': '', 'client/index.ts': '', 'cli/index.ts': '' };
    expect(wrongs(allowed)).toEqual([]);
    for (const file of ['domain/index.ts', 'storage/index.ts', 'domain/matrix/index.ts', 'console/index.tsx'])
      expect(wrongs({ [file]: '' })).toEqual([`${file}: is a barrel`]);
  });
});

describe('what a text may not say', () => {
  const everywhere = ['http/a.ts', 'cli/a.ts', 'runtime.ts', 'config/config.ts', 'storage/env.ts'];

  it.each([
    'process.env.PORT',
    'process.env',
    'process?.env',
    "process['env']",
    'globalThis.process.env.PORT',
    '`${process.env.PORT}`',
    'const { env } = process;',
    'const { argv, env: environment } = process;',
  ])('%s outside config/env.ts', (text) => {
    for (const file of everywhere) expect(wrongs({ [file]: text }), file).toHaveLength(1);
    expect(wrongs({ 'config/env.ts': text })).toEqual([]);
  });

  it('process.exit is no reading of the environment', () => {
    expect(
      wrongs({ 'cli/a.ts': 'process.exitCode = 1; process.on("SIGTERM", stop); job.process(env);' }),
    ).toEqual([]);
  });

  it.each([
    'Date.now()',
    'new Date()',
    'new Date',
    'new Date( )',
    'performance.now()',
    'Math.random()',
    'process.hrtime()',
    'process.exit(1)',
    "import { randomUUID } from 'node:crypto';",
    'randomBytes(8)',
    'crypto.getRandomValues(bytes)',
  ])('%s inside domain', (text) => {
    expect(wrongs({ 'domain/decision/a.ts': text })).toHaveLength(1);
    expect(wrongs({ 'services/a.ts': text })).toEqual([]);
  });

  it('domain may read a time it was given', () => {
    expect(
      wrongs({ 'domain/a.ts': 'new Date(instant).toISOString(); Date.parse(text); Date.UTC(2000, 0)' }),
    ).toEqual([]);
  });

  it.each(['sql.raw("x")', 'sql\n  .raw(text)', 'console.log(1)', "console['error'](1)", 'console?.info(1)'])(
    '%s anywhere',
    (text) => {
      for (const file of [...everywhere, 'config/env.ts', 'domain/a.ts', 'console/a.tsx', 'client/a.ts'])
        expect(wrongs({ [file]: text }), file).toHaveLength(1);
    },
  );

  it('says the line', () => {
    expect(wrongs({ 'http/a.ts': '/* one\n two */\nconst text = `\n`;\nconsole.log(text);' })).toEqual([
      'http/a.ts:5: writes to the console',
    ]);
  });

  it('may be said in comments, strings and regular expressions', () => {
    const text =
      '// console.log\nconst a = "process.env";\n/* sql.raw */ const b = /console.log/; `new Date() Date.now`;';
    expect(wrongs({ 'domain/a.ts': text })).toEqual([]);
  });
});

describe('reading code', () => {
  it.each([
    ['a // b', 'a     '],
    ['a /* b */ c', 'a         c'],
    ["f('x\\'y', z)", 'f("    ", z)'],
    ['`a${b}c`', '    b  '.padEnd(8)],
    ['`a${`b${{ c: 1 }.c}d`}e` + f', '        { c: 1 }.c       + f'],
    ['x = /["\'`/*]/g; y', 'x =           ; y'],
    ['a / b / c', 'a / b / c'],
    ['(a) / b / c', '(a) / b / c'],
    ['return /"/ + x', 'return     + x'],
    ['`${/"/}` / b / c', '         / b / c'],
    ['/[/"]/ + x', '       + x'],
  ])('%s', (source, text) => {
    expect(readCode(source).text).toBe(text);
  });
});
