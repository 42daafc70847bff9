import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RolecallError } from '../domain/errors.ts';
import { builtinLayer } from '../domain/matrix/builtin.ts';
import type { MatrixLayer } from '../domain/matrix/document.ts';
import type { MatrixText } from '../domain/matrix/file-header.ts';
import { type MatrixSource, parseMatrixFile, parseMatrixFiles } from '../domain/matrix/parse.ts';

/** The baseline that ships beside both `src` and `dist`. */
export const shippedBaseline = fileURLToPath(new URL('../../matrix/baseline.yaml', import.meta.url));

/** Reads and checks a baseline by itself. Throws `matrix_invalid` with every fault, or that the file cannot be read. */
export async function readMatrixFile(path: string): Promise<MatrixLayer> {
  return parseMatrixFile(basename(path), await readText(path), builtinLayer.permissions);
}

/** Reads and checks a baseline and the layers in the folder `layers` beside it. Throws as `readMatrixFile` does. */
export async function readMatrix(path: string): Promise<MatrixSource> {
  return parseMatrixFiles(await readMatrixTexts(path), builtinLayer);
}

/** The files of a matrix as they are: the baseline, and every `layers/*.yaml` beside it. */
export async function readMatrixTexts(path: string): Promise<readonly MatrixText[]> {
  const folder = join(dirname(path), 'layers');
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw unreadable(folder, error);
  });
  const layers = names.filter((name) => /\.ya?ml$/.test(name)).sort();
  return Promise.all([
    readText(path).then((text) => ({ name: basename(path), text })),
    ...layers.map(async (name) => ({ name: `layers/${name}`, text: await readText(join(folder, name)) })),
  ]);
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error);
  });
}

function unreadable(path: string, { code }: NodeJS.ErrnoException): RolecallError {
  return new RolecallError('matrix_invalid', `cannot read ${path}: ${code ?? 'unknown reason'}`);
}
