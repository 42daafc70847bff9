import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RolecallError } from '../../../src/domain/errors.ts';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import { mergeLayers, rowText } from '../../../src/domain/matrix/layers.ts';
import { parseMatrixFiles } from '../../../src/domain/matrix/parse.ts';

const baseline = {
  name: 'baseline.yaml',
  text: `version: 1
permissions:
  adminpanel: { view_documents: See the section }
  documents: { view_document: Open, change_document: Change }
roles:
  user: { name: User, description: Anybody }
  loader: { name: Loader, description: Loads, permissions: [documents.view_document] }
`,
};

const layer = (name: string, text: string) => ({ name: `layers/${name}.yaml`, text: `version: 1\n${text}` });

const bikes = layer(
  'bikes',
  `id: bikes
permissions: { bikes: { ride: Ride, mend: Mend } }
roles: { rider: { name: Rider, description: Rides, permissions: [bikes.ride] } }
`,
);
const mending = layer(
  'mending',
  `id: mending
depends_on: [bikes]
add: { rider: [bikes.mend], loader: ["bikes.*"] }
include: { rider: [user] }
`,
);
const grant = layer('grant', 'id: grant\nadd: { loader: [adminpanel.view_documents] }\n');

const read = (...files: { name: string; text: string }[]) => parseMatrixFiles(files, builtinLayer);

function faultsOf(...files: { name: string; text: string }[]): string[] {
  try {
    read(...files);
  } catch (error) {
    if (error instanceof RolecallError) return error.message.split('\n');
    throw error;
  }
  throw new Error('the files were accepted');
}

describe('layers', () => {
  it('are read in the order of their dependencies and ids, however the files come (2.4)', () => {
    const files = [baseline, bikes, mending, grant];
    const expected = read(...files);
    expect(expected.layers.map(({ id }) => id)).toEqual(['baseline', 'bikes', 'grant', 'mending']);
    fc.assert(
      fc.property(fc.shuffledSubarray(files, { minLength: files.length }), (shuffled) => {
        expect(read(...shuffled)).toEqual(expected);
      }),
      { numRuns: 24 },
    );
  });

  it('grant an existing permission without touching the baseline (2.5)', () => {
    const { layers } = read(baseline, grant);
    expect(layers[0]).toEqual(read(baseline).layers[0]);
    expect(mergeLayers(layers).edges).toContainEqual({
      role: 'loader',
      permission: 'adminpanel_view_documents',
      origin: 'grant',
      withheld: false,
    });
  });

  it('withhold permissions and leave out includes', () => {
    const less = layer(
      'less',
      'id: less\nwithhold: { loader: ["documents.*"] }\nexclude: { loader: [user] }\n',
    );
    const { edges, includes } = mergeLayers(read(baseline, less).layers);
    expect([...edges, ...includes].map(rowText)).toEqual([
      'loader documents_view_document baseline false',
      'loader documents_change_document less true',
      'loader documents_view_document less true',
      'loader user less true',
    ]);
  });

  it('expand wildcards over what they and their dependencies declare, never over the reserved resource', () => {
    const everything = layer('everything', 'id: everything\nadd: { user: ["*"] }\n');
    const added = (...files: { name: string; text: string }[]) =>
      read(...files).layers.find(({ id }) => id === 'everything')?.amendments[0]?.add;
    const declared = ['adminpanel_view_documents', 'documents_change_document', 'documents_view_document'];
    expect(added(baseline, everything)).toEqual(declared);
    expect(added(baseline, bikes, everything)).toEqual(declared);
    const dependent = { ...everything, text: `${everything.text}depends_on: [bikes]\n` };
    expect(added(baseline, bikes, dependent)).toEqual([
      'adminpanel_view_documents',
      'bikes_mend',
      'bikes_ride',
      'documents_change_document',
      'documents_view_document',
    ]);
    expect(faultsOf(baseline, layer('x', 'id: x\nadd: { user: ["rolecall.*"] }\n'))).toEqual([
      expect.stringContaining('layers/x.yaml:3:15 "rolecall.*" is refused'),
    ]);
  });

  it('have a hash that changes with what they amend and depend on', () => {
    const hashes = [
      'id: x\nadd: { user: [documents.view_document] }\n',
      'id: x\nwithhold: { user: [documents.view_document] }\n',
      'id: x\ninclude: { user: [loader] }\n',
      'id: x\nexclude: { user: [loader] }\n',
      'id: x\n',
      'id: x\ndepends_on: [bikes]\n',
    ].map((text) => read(baseline, bikes, layer('x', text)).layers.find(({ id }) => id === 'x')?.contentHash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('layers that do not make one matrix are refused, with the place', () => {
  it.each([
    [
      'a missing dependency (2.4)',
      [baseline, bikes, layer('x', 'id: x\ndepends_on: [bike]\n')],
      'layers/x.yaml:3:14 there is no layer "bike", did you mean "bikes"?',
    ],
    [
      'layers that depend on each other',
      [baseline, layer('x', 'id: x\ndepends_on: [y]\n'), layer('y', 'id: y\ndepends_on: [x]\n')],
      'layers/x.yaml:2:5 the layer "x" depends on itself',
    ],
    [
      'an id twice',
      [baseline, bikes, { ...bikes, name: 'layers/other.yaml' }],
      'layers/other.yaml:2:5 duplicate id "bikes", first at layers/bikes.yaml:2:5',
    ],
    [
      'a second baseline',
      [baseline, { ...baseline, name: 'layers/other.yaml' }],
      'layers/other.yaml:1:1 a second baseline, the first is baseline.yaml:1:1: a layer has an "id"',
    ],
    [
      'an id that is an origin of its own',
      [baseline, layer('x', 'id: api\n')],
      'layers/x.yaml:2:5 the id "api" is reserved',
    ],
    [
      'an unknown permission (2.6)',
      [baseline, layer('x', 'id: x\nadd:\n  loader: [documents.view_documnet]\n')],
      'layers/x.yaml:4:12 unknown permission "documents.view_documnet", did you mean "documents.view_document"?',
    ],
    [
      'an unknown role (2.6)',
      [baseline, layer('x', 'id: x\nadd:\n  laoder: [documents.view_document]\n')],
      'layers/x.yaml:4:3 unknown role "laoder", did you mean "loader"?',
    ],
    [
      'a name of a layer that is not depended on',
      [baseline, bikes, layer('x', 'id: x\nadd: { loader: [bikes.ride] }\n')],
      'layers/x.yaml:3:17 unknown permission "bikes.ride"',
    ],
    [
      'a slug that another layer declares for another permission (2.3)',
      [
        baseline,
        layer('one', 'id: one\npermissions: { a_b: { c: C } }\n'),
        layer('two', 'id: two\npermissions: { a: { b_c: C } }\n'),
      ],
      'layers/two.yaml:3:21 "a.b_c" and "a_b.c" at layers/one.yaml:3:23 share the slug "a_b_c"',
    ],
    [
      'includes that go round over two layers',
      [
        baseline,
        layer('one', 'id: one\ninclude: { user: [loader] }\n'),
        layer('two', 'id: two\ninclude: { loader: [user] }\n'),
      ],
      'include cycle: user -> loader -> user',
    ],
    [
      'a layer that gives and withholds the same',
      [
        baseline,
        layer('x', 'id: x\nadd: { user: ["documents.*"] }\nwithhold: { user: [documents.view_document] }\n'),
      ],
      'layers/x.yaml:4:13 the file both gives "user" "documents_view_document" and withholds it',
    ],
    [
      'withholding what repairs everything from the administrator',
      [baseline, layer('x', 'id: x\nwithhold: { admin: [rolecall.escalate] }\n')],
      'layers/x.yaml:3:13 the role "admin" keeps the built-in "rolecall_escalate"',
    ],
  ])('%s', (_what, files, fault) => {
    expect(faultsOf(...files).join('\n')).toContain(fault);
  });

  it('every fault of every file at once', () => {
    const faults = faultsOf(
      baseline,
      layer('x', 'id: x\nadd: { loadr: [] }\n'),
      layer('y', 'id: y\nadd: { loader: [documents.vew_document] }\n'),
    );
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual(['layers/x.yaml:3:8', 'layers/y.yaml:3:17']);
  });
});
