import { execFile } from 'node:child_process';
import { access, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { RolecallError } from '../../domain/errors.ts';
import { goodNameMeans, isGoodName, lintSteps } from '../../storage/migrations/lint.ts';
import { shippedSteps } from '../../storage/migrations/steps.ts';
import { count, print, printJson, table } from '../output.ts';

interface JsonOption {
  readonly json?: boolean;
}

/** What works on the files of the steps, and on no database. */
export function addMigrateFiles(migrate: Command): void {
  migrate
    .command('new')
    .description('write the files of a new step: what the tables in TypeScript ask for, or empty ones')
    .argument('<name>', 'what it does, such as add_nickname_to_users')
    .option('--json', 'print JSON')
    .action(async (name: string, { json }: JsonOption) => {
      if (!isGoodName(`0000_${name}`))
        throw new RolecallError(
          'invalid_input',
          `a step says what it does: ${goodNameMeans}, without the number`,
        );
      const files = await writeStep(name);
      if (json) printJson({ files });
      else print(`Wrote ${files.join(' and ')}. Next: write the way down, then npm run db:describe.`);
    });

  migrate
    .command('lint')
    .description('hold the files of all steps to the rules; exits with 2 if one is broken')
    .option('--folder <path>', 'where the steps are', shippedSteps)
    .option('--json', 'print JSON')
    .action(async ({ folder, json }: JsonOption & { folder: string }) => {
      const faults = await lintSteps(folder);
      if (json) printJson({ faults });
      else if (faults.length === 0) print('All steps keep the rules.');
      else
        print(
          table(
            ['file', 'line', 'rule', 'why'],
            faults.map(({ file, line, rule, message }) => [file, String(line ?? '-'), rule, message]),
          ),
        );
      if (faults.length > 0)
        throw new RolecallError('migration_refused', `${count(faults.length, 'rule')} broken`);
    });
}

/** Lets drizzle-kit write the way up, an empty one if the tables have not changed, and puts an empty way down beside it. */
async function writeStep(name: string): Promise<readonly string[]> {
  const root = dirname(dirname(join(shippedSteps, 'x')));
  const generator = join(root, 'node_modules/drizzle-kit/bin.cjs');
  await access(generator).catch(() => {
    throw new RolecallError(
      'migration_refused',
      'drizzle-kit is not installed: steps are written in a checkout, after npm ci',
    );
  });
  const generate = (...words: string[]) =>
    promisify(execFile)(process.execPath, [generator, 'generate', '--name', name, ...words], { cwd: root });
  const before = new Set(await readdir(shippedSteps));
  await generate();
  const written = async () =>
    (await readdir(shippedSteps)).find((file) => file.endsWith('.sql') && !before.has(file));
  const up = (await written()) ?? (await generate('--custom').then(written));
  if (!up) throw new RolecallError('internal', 'drizzle-kit wrote no file');
  const down = up.replace(/\.sql$/, '.down.sql');
  await writeFile(join(shippedSteps, down), `-- Takes back ${up}, in the reverse order.\n`);
  return [`drizzle/${up}`, `drizzle/${down}`];
}
