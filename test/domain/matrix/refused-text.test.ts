import { describe, expect, it } from 'vitest';
import { faultsOf, minimal, withRole } from './reading.ts';

describe('text that is no matrix at all is refused', () => {
  const empty = 'baseline.yaml:1:1 the file is empty, a matrix has "version", "permissions" and "roles"';
  const anchor = 'anchors are not accepted, write the value out where it is used';
  const alias = 'aliases are not accepted, write the value out';
  it.each<[string, string, string[]]>([
    ['an empty file', '', [empty]],
    ['a file of spaces', ' \n\n', [empty]],
    ['a file of comments', '# version: 1\n', [empty]],
    ['an empty document', '---\n', [empty]],
    ['an ended document', '...\n', [empty]],
    ['a text', 'hello\n', ['baseline.yaml:1:1 the matrix must be a mapping, not text']],
    ['a list', '\n- version\n', ['baseline.yaml:2:1 the matrix must be a mapping, not a list']],
    ['nothing', 'null\n', ['baseline.yaml:1:1 the matrix must be a mapping, not nothing']],
    [
      'a mapping without members',
      '{}',
      ['version', 'permissions', 'roles'].map((name) => `baseline.yaml:1:1 the matrix lacks "${name}"`),
    ],
    [
      'a tab as indentation',
      'version: 1\npermissions:\n\torders: {}\n',
      ['baseline.yaml:3:1 not YAML: Tabs are not allowed as indentation'],
    ],
    ['an open quote', 'version: "1\n', ['baseline.yaml:2:1 not YAML: Missing closing "quote']],
    ['an open brace', '{version: 1', ['baseline.yaml:1:12 not YAML: Flow map must end with a }']],
    [
      'two values in one line',
      'version: 1: 2\n',
      ['baseline.yaml:1:10 not YAML: Nested mappings are not allowed in compact mappings'],
    ],
    [
      'several mistakes of syntax, and nothing about the meaning',
      'version: %1\nroles: @x\n',
      [
        'baseline.yaml:1:10 not YAML: Plain value cannot start with directive indicator character %',
        'baseline.yaml:2:8 not YAML: Plain value cannot start with reserved character @',
      ],
    ],
    [
      'a second document',
      `${minimal}---\nversion: 1\n`,
      ['baseline.yaml:5:1 a second document begins, a matrix is one document'],
    ],
    [
      'an anchor and its alias',
      'version: 1\npermissions: {}\nroles:\n  a: &a {name: A, description: A}\n  b: *a\n',
      [`baseline.yaml:4:6 ${anchor}`, `baseline.yaml:5:6 ${alias}`],
    ],
    [
      'an alias of nothing, in a list and as a key',
      withRole('[*x]').replace('  a_b:\n', '  *y :\n'),
      [`baseline.yaml:8:3 ${alias}`, `baseline.yaml:15:19 ${alias}`],
    ],
    [
      'a merge key',
      'version: 1\npermissions: {}\nroles:\n  a:\n    <<: {description: A}\n    name: A\n    description: A\n',
      ['baseline.yaml:5:5 merge keys are not accepted, write the entries out'],
    ],
    [
      'a tag, known or not',
      minimal.replace('permissions: {}', 'permissions: !mine {}').replace('roles: {}', 'roles: !!map {}'),
      ['2:14', '3:8'].map((at) => `baseline.yaml:${at} tags are not accepted, write the value without one`),
    ],
    [
      'a tag that stands for nothing known',
      minimal.replace('1', '!x!y 1'),
      ['baseline.yaml:1:10 tags are not accepted, write the value without one'],
    ],
    ['a directive', `%YAML 1.2\n---\n${minimal}`, ['baseline.yaml:1:1 directives are not accepted']],
  ])('%s', (_, text, faults) => {
    expect(faultsOf(text)).toEqual(faults);
  });
});

describe('a member is refused', () => {
  it.each<[string, string, string[]]>([
    ['a missing version', minimal.replace('version: 1\n', ''), ['1:1 the matrix lacks "version"']],
    ['another version', minimal.replace('1', '2'), ['1:10 "version" must be 1']],
    ['a version in quotes', minimal.replace('1', '"1"'), ['1:10 "version" must be 1']],
    ['an empty version', minimal.replace('1', ''), ['1:1 "version" must be 1']],
    [
      'an unknown one with a near name',
      minimal.replace('permissions', 'permisions'),
      ['1:1 the matrix lacks "permissions"', '2:1 unknown member "permisions", did you mean "permissions"?'],
    ],
    ['an unknown one without', `${minimal}owner: me\n`, ['4:1 unknown member "owner"']],
    ['a duplicate', `${minimal}version: 1\n`, ['4:1 duplicate "version", first at baseline.yaml:1:1']],
    [
      'empty permissions',
      minimal.replace('permissions: {}', 'permissions:'),
      ['2:1 "permissions" must be a mapping, not nothing'],
    ],
    [
      'a list of roles',
      minimal.replace('roles: {}', 'roles: []'),
      ['3:8 "roles" must be a mapping, not a list'],
    ],
    [
      'roles as text',
      minimal.replace('roles: {}', 'roles: none'),
      ['3:8 "roles" must be a mapping, not text'],
    ],
    [
      'a role that is true',
      minimal.replace('roles: {}', 'roles: {a: true}'),
      ['3:12 role "a" must be a mapping, not true or false'],
    ],
    [
      'an unknown one of a role',
      withRole('[]').replace('    includes:', '    permission: []\n    include:'),
      [
        '14:5 unknown member "permission", did you mean "permissions"?',
        '15:5 unknown member "include", did you mean "includes"?',
      ],
    ],
    [
      'what a role lacks',
      minimal.replace('roles: {}', 'roles:\n  viewer: {}'),
      ['4:3 role "viewer" lacks "name"', '4:3 role "viewer" lacks "description"'],
    ],
    [
      'a name that is a number',
      withRole('[]').replace('Viewer', '42'),
      ['12:11 "name" of role "viewer" must be text, not a number'],
    ],
    [
      'a name that is nothing',
      withRole('[]').replace(' Viewer', ''),
      ['12:5 "name" of role "viewer" must be text, not nothing'],
    ],
    ['a blank name', withRole('[]').replace('Viewer', '" "'), ['12:11 "name" of role "viewer" is empty']],
    [
      'a description that is a list',
      withRole('[]').replace('Reads', '[Reads]'),
      ['13:18 "description" of role "viewer" must be text, not a list'],
    ],
    [
      'a description with NUL',
      withRole('[]').replace('Reads', '"R\\0"'),
      ['13:18 "description" of role "viewer" has characters that are not text'],
    ],
    [
      'a description with half a character',
      withRole('[]').replace('Reads', '"\\ud800"'),
      ['13:18 "description" of role "viewer" has characters that are not text'],
    ],
    [
      'system as text',
      withRole('[]').replace('    includes: []', '    system: yes'),
      ['14:13 "system" of role "viewer" must be true or false, not text'],
    ],
    [
      'permissions that are one text',
      withRole('orders.view_order'),
      ['15:18 "permissions" of role "viewer" must be a list, not text'],
    ],
    [
      'includes that are nothing',
      withRole('[]', ''),
      ['14:5 "includes" of role "viewer" must be a list, not nothing'],
    ],
    [
      'entries that are not text',
      withRole('[1, true, , {a: b}]', '[~]').replace('true, , {', 'true, {'),
      [
        '14:16 an entry of "includes" of role "viewer" must be text, not nothing',
        '15:19 an entry of "permissions" of role "viewer" must be text, not a number',
        '15:22 an entry of "permissions" of role "viewer" must be text, not true or false',
        '15:28 an entry of "permissions" of role "viewer" must be text, not a mapping',
      ],
    ],
    [
      'keys that are not text',
      minimal.replace('permissions: {}', 'permissions:\n  1: {}\n  ? [a]\n  : {}\n  true: {}\n  null: {}'),
      [
        '3:3 a key must be text, not a number',
        '4:5 a key must be text, not a list',
        '6:3 a key must be text, not true or false',
        '7:3 a key must be text, not nothing',
      ],
    ],
  ])('%s', (_, text, faults) => {
    expect(faultsOf(text)).toEqual(faults.map((fault) => `baseline.yaml:${fault}`));
  });
});
