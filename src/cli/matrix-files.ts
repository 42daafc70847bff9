import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RolecallError } from '../domain/errors.ts';
import { builtinLayer } from '../domain/matrix/builtin.ts';
import type { MatrixLayer } from '../domain/matrix/document.ts';
import { parseMatrixFile } from '../domain/matrix/parse.ts';

/** The baseline that ships beside both `src` and `dist`. */
export const shippedBaseline = fileURLToPath(new URL('../../matrix/baseline.yaml', import.meta.url));

/** Reads and checks a matrix file. Throws `matrix_invalid` with every fault, or that the file cannot be read. */
export async function readMatrixFile(path: string): Promise<MatrixLayer> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new RolecallError('matrix_invalid', `cannot read ${path}: ${error.code ?? 'unknown reason'}`);
  });
  return parseMatrixFile(basename(path), text, builtinLayer.permissions);
}
