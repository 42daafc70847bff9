import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './host.ts';

const guard = 'dist/services/guard.js';

/** What the guard does while it is lifted: it judges nothing, and reads nothing that only it needs. */
const judging = 'export function requirePower(facts, { caller }, permission, scope, reach) {';
const lifted: readonly (readonly [text: string, instead: string])[] = [
  [judging, `${judging} if (isLifted) return;`],
  ['const guarded = calls.flatMap(', 'const guarded = (isLifted ? [] : calls).flatMap('],
];
const lifting = `
let isLifted = false;
process.on('SIGUSR2', () => {
  isLifted = !isLifted;
  console.log(isLifted ? 'guard lifted' : 'guard stands');
});
`;

/** The program of the service with a guard that SIGUSR2 lifts, and the next one puts back. */
export interface Liftable {
  readonly program: string;
  remove(): Promise<void>;
}

/** Copies what was built, and makes the guard of the copy one that can be lifted. Throws where it is not as it is known here. */
export async function makeLiftable(): Promise<Liftable> {
  const root = fileURLToPath(projectRoot);
  const build = await mkdtemp(join(root, '.bench', 'liftable-'));
  const remove = () => rm(build, { recursive: true, force: true });
  try {
    for (const folder of ['bin', 'dist'])
      await cp(join(root, folder), join(build, folder), { recursive: true });
    for (const beside of ['drizzle', 'matrix', 'package.json', 'openapi.json'])
      await symlink(join(root, beside), join(build, beside));
    let text = await readFile(join(build, guard), 'utf8');
    for (const [known, instead] of lifted) {
      if (text.split(known).length !== 2)
        throw new Error(`bench/liftable.ts does not know ${guard} any more: ${known}`);
      text = text.replace(known, () => instead);
    }
    await writeFile(join(build, guard), text + lifting);
    return { program: join(build, 'bin/rolecall.js'), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
