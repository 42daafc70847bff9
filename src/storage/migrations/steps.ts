import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { RolecallError } from '../../domain/errors.ts';
import { type CatalogObject, parseCatalog } from './catalog.ts';

/** One migration as it lies in the `drizzle` folder: the way up, the way down, and what is there after it. */
export interface Step {
  readonly position: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  readonly hash: string;
  readonly downHash: string;
  /** The whole catalog after this step, if it was described (`npm run db:describe`); a released step always is. */
  readonly catalog: readonly CatalogObject[] | null;
  /** What is there besides once the database roles of the row-level kit are installed. */
  readonly roleGrants: readonly CatalogObject[];
}

/** The steps that ship with this release, beside both `src` and `dist`. */
export const shippedSteps = fileURLToPath(new URL('../../../drizzle/', import.meta.url));

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
      const [up, down, catalog, roleGrants] = await Promise.all([
        readText(folder, `${name}.sql`),
        readText(folder, `${name}.down.sql`),
        readDescription(folder, `catalog/${name}.txt`),
        readDescription(folder, `catalog/${name}.roles.txt`),
      ]);
      return {
        position: Number(name.slice(0, 4)),
        name,
        up,
        down,
        hash: hashOf(up),
        downHash: hashOf(down),
        catalog,
        roleGrants: roleGrants ?? [],
      };
    }),
  );
}

async function readDescription(folder: string, file: string): Promise<readonly CatalogObject[] | null> {
  try {
    return parseCatalog(await readText(folder, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Line ends are normalised, so that a checkout on another system has the same hashes. */
async function readText(folder: string, file: string): Promise<string> {
  return (await readFile(`${folder}/${file}`, 'utf8')).replaceAll('\r\n', '\n');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
