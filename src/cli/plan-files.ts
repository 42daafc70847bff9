import { open, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { RolecallError } from '../domain/errors.ts';
import { builtinLayer } from '../domain/matrix/builtin.ts';
import type { MatrixText } from '../domain/matrix/file-header.ts';
import { parseMatrixFiles } from '../domain/matrix/parse.ts';
import type { MatrixPlan } from '../domain/matrix/plan.ts';
import type { Intent, Terms } from '../services/matrix/matrix.ts';
import { cannotWrite } from './new-file.ts';

/** What a plan file is read back as: the files as they were planned, and what the plan is held to. */
const planFile = z.object({
  version: z.literal(1),
  files: z.array(z.strictObject({ name: z.string(), text: z.string() })),
  accept: z.enum(['matrix', 'live']).optional(),
  plan: z.object({
    catalogueRevision: z.string(),
    losses: z.array(z.object({ user: z.string(), scope: z.string(), permissions: z.array(z.string()) })),
  }),
});

/** Keeps a plan with the files it is about, so that what was reviewed is what is applied. It names people. */
export async function writePlanFile(
  path: string,
  files: readonly MatrixText[],
  accept: Intent['accept'],
  plan: MatrixPlan,
): Promise<void> {
  try {
    const file = await open(path, 'w', 0o600);
    try {
      // The mode above is that of a new file only.
      if ((await file.stat()).isFile()) await file.chmod(0o600);
      await file.writeFile(`${JSON.stringify({ version: 1, files, accept, plan }, null, 2)}\n`);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

/** Reads a plan back. Throws `matrix_invalid` if it is none. */
export async function readPlanFile(path: string): Promise<Intent & Required<Pick<Terms, 'plan'>>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new RolecallError('matrix_invalid', `cannot read ${path}: ${error.code ?? 'unknown reason'}`);
  });
  const parsed = planFile.safeParse(jsonOf(text));
  if (!parsed.success)
    throw new RolecallError(
      'matrix_invalid',
      `${path} is no plan: \`rolecall matrix plan --out ${path}\` writes one`,
    );
  const { files, accept, plan } = parsed.data;
  const { layers, acknowledged } = parseMatrixFiles(files, builtinLayer);
  return { layers, acknowledged, accept, plan };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
