import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { RolecallError } from '../../domain/errors.ts';
import { renderTypeScript } from '../../domain/matrix/typescript.ts';
import { readMatrix, shippedBaseline } from '../matrix-files.ts';
import { print } from '../output.ts';

interface CodegenOptions {
  readonly file: string;
  readonly out: string;
  readonly check?: true;
}

/** Adds `codegen` to the commands of the matrix. */
export function addMatrixCodegen(matrix: Command): void {
  matrix
    .command('codegen')
    .description('write the permissions and roles of the files as TypeScript; needs no database')
    .requiredOption('--out <path>', 'the file to write')
    .option('--file <path>', 'the baseline; layers are in the folder `layers` beside it', shippedBaseline)
    .option('--check', 'write nothing; fail if the file is not what would be written')
    .action(async ({ file, out, check }: CodegenOptions) => {
      const text = renderTypeScript((await readMatrix(file)).layers);
      if (check) await requireSame(out, text);
      else await writeFile(out, text);
      print(check ? `${out} is what the matrix says.` : `Wrote ${out}.`);
    });
}

/** Throws `matrix_invalid` if the file is not there or says anything else. */
async function requireSame(path: string, text: string): Promise<void> {
  const present = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (present === text) return;
  const state = present === undefined ? 'is not there' : 'is not what the matrix says';
  throw new RolecallError('matrix_invalid', `${path} ${state}: rolecall matrix codegen --out ${path}`);
}
