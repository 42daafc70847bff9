import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { RolecallError } from '../../domain/errors.ts';

/** One migration as it lies in the `drizzle` folder: the way up and the way down. */
export interface Step {
  readonly position: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  readonly hash: string;
  readonly downHash: string;
}

/** The steps that ship with this release, beside both `src` and `dist`. */
const shippedSteps = fileURLToPath(new URL('../../../drizzle/', import.meta.url));

/** Reads `NNNN_what_it_does.sql` with its `.down.sql`, in order. Throws `migration_refused` for a step without a way down. */
export async function readSteps(folder: string = shippedSteps): Promise<readonly Step[]> {
  const files = new Set(await readdir(folder));
  const names = [...files]
    .filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort();
  return Promise.all(
    names.map(async (name) => {
      if (!files.has(`${name}.down.sql`))
        throw new RolecallError(
          'migration_refused',
          `step ${name} has no way down: ${name}.down.sql is missing`,
        );
      const [up, down] = await Promise.all([
        readText(folder, `${name}.sql`),
        readText(folder, `${name}.down.sql`),
      ]);
      return { position: Number(name.slice(0, 4)), name, up, down, hash: hashOf(up), downHash: hashOf(down) };
    }),
  );
}

/** Line ends are normalised, so that a checkout on another system has the same hashes. */
async function readText(folder: string, file: string): Promise<string> {
  return (await readFile(`${folder}/${file}`, 'utf8')).replaceAll('\r\n', '\n');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
