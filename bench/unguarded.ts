import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './host.ts';

const guard = 'dist/services/guard.js';

/** What is taken out of the guard: that it judges, and that it reads what only it needs. */
const judging = 'export function requirePower(facts, { caller }, permission, scope, reach) {';
const emptied: readonly (readonly [text: string, instead: string])[] = [
  [judging, `${judging} return;`],
  ['const guarded = calls.flatMap(', 'const guarded = [].flatMap('],
];

/** The program of the service without its guard, to be measured beside the one with it. */
export interface Unguarded {
  readonly program: string;
  remove(): Promise<void>;
}

/** Copies what was built, and empties the guard of the copy. Throws where the guard is not as it is known here. */
export async function makeUnguarded(): Promise<Unguarded> {
  const root = fileURLToPath(projectRoot);
  const build = await mkdtemp(join(root, '.bench', 'unguarded-'));
  const remove = () => rm(build, { recursive: true, force: true });
  try {
    for (const folder of ['bin', 'dist'])
      await cp(join(root, folder), join(build, folder), { recursive: true });
    for (const beside of ['drizzle', 'matrix', 'package.json', 'openapi.json'])
      await symlink(join(root, beside), join(build, beside));
    let text = await readFile(join(build, guard), 'utf8');
    for (const [known, instead] of emptied) {
      if (text.split(known).length !== 2)
        throw new Error(`bench/unguarded.ts does not know ${guard} any more: ${known}`);
      text = text.replace(known, () => instead);
    }
    await writeFile(join(build, guard), text);
    return { program: join(build, 'bin/rolecall.js'), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
