import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RolecallError } from '../../../src/domain/errors.ts';
import { faultsOf, read } from './reading.ts';

describe('text from strangers', () => {
  it.each(['[', '- ', '{a: ', 'a: ', '? ', ': ', '? - ', '[a: ', '{a: ['])(
    'is refused, and harms nobody, when it is %j a hundred thousand times',
    (piece) => {
      const faults = faultsOf(piece.repeat(100_000));
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(/^baseline\.yaml:1:\d+ nested too deeply, a matrix has four levels$/);
    },
  );

  it('is refused where it goes wrong again and again', () => {
    expect(faultsOf('- a: '.repeat(1_000))).toHaveLength(999);
  });

  it('is refused when it is nested line by line', () => {
    const text = Array.from({ length: 500 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('');
    expect(faultsOf(text)).toEqual([
      expect.stringMatching(/^baseline\.yaml:\d+:\d+ nested too deeply, a matrix has four levels$/),
    ]);
  });

  it('may nest as deep as a matrix does, in any style', () => {
    const flow =
      '{version: 1, permissions: {a: {b: B}}, roles: {r: {name: R, description: R, permissions: [a.b]}}}';
    expect(read(flow).roles).toHaveLength(1);
    const explicit = `? version\n: 1\n? permissions\n: ? a\n  : ? b\n    : B\n? roles\n: ? r\n  : ? name\n    : R\n    ? description\n    : R\n    ? permissions\n    : - a.b\n`;
    expect(read(explicit).roles[0]?.permissions).toEqual(['a_b']);
  });

  it('may chain includes for as long as it likes', () => {
    const count = 20_000;
    const roles = Array.from(
      { length: count },
      (_, number) => `  r${number}: {name: R, description: R, includes: [r${(number + 1) % count}]}\n`,
    );
    const faults = faultsOf(`version: 1\npermissions: {}\nroles:\n${roles.join('')}`);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^baseline\.yaml:20003:48 include cycle: r0 -> r1 -> .* -> r19999 -> r0$/);
  });

  it('gets suggestions for its first faults only, so that unknown names by the thousand cost little', () => {
    const actions = Array.from({ length: 10_000 }, (_, number) => `    view_${number}: See\n`);
    const wrong = Array.from({ length: 10_000 }, (_, number) => `      - shop.veiw_${number}\n`);
    const faults = faultsOf(
      `version: 1\npermissions:\n  shop:\n${actions.join('')}roles:\n  r:\n    name: R\n    description: R\n    permissions:\n${wrong.join('')}`,
    );
    expect(faults).toHaveLength(10_000);
    expect(faults.filter((fault) => fault.includes('did you mean'))).toHaveLength(30);
  });

  it('is quoted in part only', () => {
    const [fault] = faultsOf(`version: 1\npermissions: {}\nroles: {}\n"${'x'.repeat(1_000)}": 1\n`);
    expect(fault).toBe(`baseline.yaml:4:1 unknown member "${'x'.repeat(120)}…"`);
  });

  it('is a layer or a list of places, whatever stands in it', () => {
    const pieces = [
      ...[
        'version: 1',
        'permissions:',
        'roles:',
        '  a:',
        '    b: c',
        '  - x',
        '- ',
        '? ',
        ': ',
        '{',
        '}',
        '[',
      ],
      ...[
        ']',
        ',',
        '"',
        "'",
        '|',
        '>',
        '&a',
        '*a',
        '!t',
        '!!map',
        '<<: *a',
        '%YAML 1.1',
        '---',
        '...',
        '#',
        '\n',
      ],
      ...['\n', '\n', ' ', '  ', '\t', '\r', '\r\n', '\0', '\uFEFF', '\u2028', '\ud800', '~', '1', 'name: A'],
    ];
    const text = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 30 });
    fc.assert(
      fc.property(text, (parts) => {
        try {
          read(parts.join(''));
        } catch (error) {
          if (!(error instanceof RolecallError)) throw error;
          expect(error.code).toBe('matrix_invalid');
          expect(error.errors?.length).toBeGreaterThan(0);
          expect(error.message.split('\n')).toHaveLength(error.errors?.length ?? 0);
          for (const fault of error.errors ?? [])
            expect(fault.pointer).toMatch(/^baseline\.yaml:[1-9]\d*:[1-9]\d*$/);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
