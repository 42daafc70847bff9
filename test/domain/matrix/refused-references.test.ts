import { describe, expect, it } from 'vitest';
import { parseMatrixFile } from '../../../src/domain/matrix/parse.ts';
import { faultsOf, minimal, withRole } from './reading.ts';

const partRule = 'a resource or action is lower-case words joined by "_", beginning with a letter';

describe('a reference to a permission is refused', () => {
  const document = 'did you mean "documents.view_document"?';
  it.each<[string, string, string[]]>([
    [
      'a typo',
      '[documents.view_documnet]',
      [`15:19 unknown permission "documents.view_documnet", ${document}`],
    ],
    [
      'a typo in another notation',
      '[documents_view_docment]',
      [`15:19 unknown permission "documents_view_docment", ${document}`],
    ],
    [
      'a typo in a list of lines',
      '\n      - orders.view_order\n      - documents:view_documents',
      [`17:9 unknown permission "documents:view_documents", ${document}`],
    ],
    ['a name unlike any other', '[invoices.pay]', ['15:19 unknown permission "invoices.pay"']],
    [
      'an unknown one of the reserved resource',
      '[rolecall.chekc]',
      ['15:19 unknown permission "rolecall.chekc", did you mean "rolecall.check"?'],
    ],
    [
      'both parts written, and divided wrongly',
      '[a.b_c]',
      ['15:19 unknown permission "a.b_c", did you mean "a_b.c"?'],
    ],
    [
      'a capital letter',
      '[Orders.view_order]',
      [`15:19 malformed permission "Orders.view_order": ${partRule}`],
    ],
    [
      'a single word',
      '[orders]',
      [
        '15:19 malformed permission "orders": a permission is resource.action, resource:action or resource_action',
      ],
    ],
    [
      'an empty one',
      '[""]',
      ['15:19 malformed permission "": a permission is resource.action, resource:action or resource_action'],
    ],
    [
      'a duplicate in another notation',
      '[orders.view_order, documents.view_document, orders_view_order]',
      ['15:63 duplicate "orders_view_order", first at baseline.yaml:15:19'],
    ],
    [
      'a duplicate wildcard',
      '["orders.*", "orders:*", "*", "*"]',
      [
        '15:31 duplicate "orders:*", first at baseline.yaml:15:19',
        '15:48 duplicate "*", first at baseline.yaml:15:43',
      ],
    ],
    [
      'a wildcard of an unknown resource',
      '["order.*"]',
      ['15:19 "order.*" matches no permission, did you mean "orders.*"?'],
    ],
    ['a wildcard unlike any resource', '["warehouse.*"]', ['15:19 "warehouse.*" matches no permission']],
    [
      'a wildcard of the reserved resource',
      '["rolecall.*", "rolecall:*"]',
      [
        '15:19 "rolecall.*" is refused, name built-in permissions one by one',
        '15:33 "rolecall:*" is refused, name built-in permissions one by one',
      ],
    ],
    [
      'a wildcard inside a name',
      '["orders.view_*", "*.view_order", "or*", "**", ".*"]',
      [
        ['15:19', 'orders.view_*'],
        ['15:36', '*.view_order'],
        ['15:52', 'or*'],
        ['15:59', '**'],
        ['15:65', '.*'],
      ].map(([at, text]) => `${at} malformed wildcard "${text}": a wildcard is "*" or "resource.*"`),
    ],
  ])('%s', (_, permissions, faults) => {
    expect(faultsOf(withRole(permissions))).toEqual(faults.map((fault) => `baseline.yaml:${fault}`));
  });

  it('"*" where nothing is declared', () => {
    const text = minimal.replace('roles: {}', 'roles: {a: {name: A, description: A, permissions: ["*"]}}');
    expect(faultsOf(text)).toEqual(['baseline.yaml:3:52 "*" matches no permission']);
  });

  it('but not when there is no list of permissions to look it up in', () => {
    const text = withRole('[orders.view_order, nonsense.at_all]').replace(/permissions:\n( {2}.*\n)+/, '');
    expect(faultsOf(text)).toEqual(['baseline.yaml:1:1 the matrix lacks "permissions"']);
    expect(faultsOf(text.replace('version: 1', 'version: 1\npermissions: all'))).toEqual([
      'baseline.yaml:2:14 "permissions" must be a mapping, not text',
    ]);
  });
});

describe('an include is refused', () => {
  function withIncludes(includes: Record<string, string>): string {
    const roles = Object.entries(includes).map(
      ([key, list]) => `  ${key}: {name: R, description: R, includes: [${list}]}\n`,
    );
    return `version: 1\npermissions: {}\nroles:\n${roles.join('')}`;
  }

  it.each<[string, Record<string, string>, string[]]>([
    [
      'an unknown role',
      { viewer: '', manager: 'veiwer' },
      ['5:49 unknown role "veiwer", did you mean "viewer"?'],
    ],
    ['a role unlike any other', { viewer: 'somebody' }, ['4:48 unknown role "somebody"']],
    ['a duplicate', { a: '', b: 'a, a' }, ['5:46 duplicate "a", first at baseline.yaml:5:43']],
    ['the role itself', { a: 'a' }, ['4:43 role "a" includes itself']],
    ['two that include each other', { a: 'b', b: 'a' }, ['5:43 include cycle: a -> b -> a']],
    [
      'a longer cycle that is not entered at its start',
      { z: 'a', a: 'b', b: 'c', c: 'a' },
      ['7:43 include cycle: a -> b -> c -> a'],
    ],
    [
      'two cycles through one role',
      { a: 'b, c', b: 'a', c: 'a' },
      ['5:43 include cycle: a -> b -> a', '6:43 include cycle: a -> c -> a'],
    ],
    [
      'two cycles apart',
      { a: 'b', b: 'a', c: 'd', d: 'c' },
      ['5:43 include cycle: a -> b -> a', '7:43 include cycle: c -> d -> c'],
    ],
    [
      'a cycle behind a role that was already looked at',
      { a: 'c', b: 'c, d', c: '', d: 'b' },
      ['7:43 include cycle: b -> d -> b'],
    ],
  ])('%s', (_, includes, faults) => {
    expect(faultsOf(withIncludes(includes))).toEqual(faults.map((fault) => `baseline.yaml:${fault}`));
  });

  it('but roles may share what they include', () => {
    const diamond = withIncludes({ a: 'c, b', b: 'd', c: 'd', d: '' });
    expect(parseMatrixFile('m.yaml', diamond, []).roles.map(({ includes }) => includes)).toEqual([
      ['b', 'c'],
      ['d'],
      ['d'],
      [],
    ]);
  });
});
