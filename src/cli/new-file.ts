import { writeFile } from 'node:fs/promises';
import { RolecallError } from '../domain/errors.ts';

/** Writes a file that is not there yet. Throws `invalid_input` with why it cannot be written. */
export async function writeNewFile(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error);
  });
}

export function cannotWrite(path: string, { code }: NodeJS.ErrnoException): RolecallError {
  return new RolecallError('invalid_input', `cannot write ${path}: ${code ?? 'unknown reason'}`);
}
