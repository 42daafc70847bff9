import { describe, expect, it } from 'vitest';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import { parseMatrixFile } from '../../../src/domain/matrix/parse.ts';
import { faultsOf, refusalOf, withRole } from './reading.ts';

const partRule = 'a resource or action is lower-case words joined by "_", beginning with a letter';

describe('a refusal', () => {
  const text = `${withRole('[orders.view_ordr]', '[nobody]').replace('  orders:', '  Orders:')}owner: me\n`;

  it('has every fault, in the order of the text, in the message and one by one', () => {
    const refusal = refusalOf(text);
    expect(refusal).toMatchObject({
      name: 'RolecallError',
      code: 'matrix_invalid',
      errors: [
        {
          pointer: 'baseline.yaml:6:3',
          code: 'malformed_name',
          detail: `malformed resource "Orders": ${partRule}`,
        },
        { pointer: 'baseline.yaml:14:16', code: 'unknown_role', detail: 'unknown role "nobody"' },
        {
          pointer: 'baseline.yaml:15:19',
          code: 'unknown_permission',
          detail: 'unknown permission "orders.view_ordr"',
        },
        { pointer: 'baseline.yaml:16:1', code: 'unknown_member', detail: 'unknown member "owner"' },
      ],
    });
    const { message, errors } = refusal as { message: string; errors: { pointer: string; detail: string }[] };
    expect(message).toBe(errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('\n'));
  });

  it('names the file as it was given', () => {
    expect(() => parseMatrixFile('matrix/prod.yaml', '', builtinLayer.permissions)).toThrow(
      /^matrix\/prod\.yaml:1:1 the file is empty/,
    );
  });

  it('counts columns as an editor shows them, without a byte order mark', () => {
    expect(faultsOf('\uFEFFnothing')).toEqual(['baseline.yaml:1:1 the matrix must be a mapping, not text']);
  });

  it('counts lines alike with Windows line ends and behind texts of several lines', () => {
    expect(faultsOf(text.replaceAll('\n', '\r\n'))).toEqual(faultsOf(text));
    const long = withRole('[nothing.here]').replace('Reads', '|\n      one\n\n      two');
    expect(faultsOf(long)).toEqual(['baseline.yaml:18:19 unknown permission "nothing.here"']);
  });
});
