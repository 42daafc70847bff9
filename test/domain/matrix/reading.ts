import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import type { DeclaredRole, MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { parseMatrixFile } from '../../../src/domain/matrix/parse.ts';

export function read(text: string): MatrixLayer {
  return parseMatrixFile('baseline.yaml', text, builtinLayer.permissions);
}

export function roleOf(layer: MatrixLayer, key: string): DeclaredRole {
  const role = layer.roles.find((candidate) => candidate.key === key);
  if (role === undefined) throw new Error(`no role ${key}`);
  return role;
}

/** What reading the text throws; a text that can be read has no such thing. */
export function refusalOf(text: string): unknown {
  try {
    read(text);
  } catch (error) {
    return error;
  }
  throw new Error('the text was accepted');
}

/** The lines of the refusal. */
export function faultsOf(text: string): string[] {
  const refusal = refusalOf(text);
  if (refusal instanceof Error) return refusal.message.split('\n');
  throw refusal;
}

export const minimal = 'version: 1\npermissions: {}\nroles: {}\n';

/** A file that is right but for what stands in place of the lists of its role. */
export function withRole(permissions: string, includes = '[]'): string {
  return `version: 1
permissions:
  documents:
    view_document: See a document
    create_document: Create a document
  orders:
    view_order: See an order
  a_b:
    c: Two words, one word
roles:
  viewer:
    name: Viewer
    description: Reads
    includes: ${includes}
    permissions: ${permissions}
`;
}
