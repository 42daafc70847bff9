import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { RolecallError } from '../../domain/errors.ts';
import { migrateDown, migrateUp, migrationStatus, type RunOptions } from '../../storage/migrations/runner.ts';
import { readSteps } from '../../storage/migrations/steps.ts';
import { count, print, printJson, progress, table } from '../output.ts';

interface JsonOption {
  readonly json?: boolean;
}

export function addMigrate(program: Command): void {
  const migrate = program.command('migrate').description('bring the database to what this release expects');

  migrate
    .command('up')
    .description('run every pending step; safe to start from any number of processes at once')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const applied = await migrateUp(await runOptions());
      if (json) printJson({ applied });
      else
        print(
          applied.length > 0
            ? `Applied ${count(applied.length, 'step')}.`
            : 'Nothing to do: the database is up to date.',
        );
    });

  migrate
    .command('down')
    .description('undo the newest steps')
    .argument('[count]', 'how many', readCount, 1)
    .option('--destroy', 'agree to lose the data that these steps hold')
    .option('--json', 'print JSON')
    .action(async (steps: number, { destroy, json }: JsonOption & { destroy?: boolean }) => {
      if (!destroy)
        throw new RolecallError(
          'migration_refused',
          'going down drops tables and the data in them: make a backup, then say --destroy',
        );
      const undone = await migrateDown(await runOptions(), steps);
      if (json) printJson({ undone });
      else print(undone.length > 0 ? `Undid ${count(undone.length, 'step')}.` : 'Nothing to undo.');
    });

  migrate
    .command('status')
    .description('show which steps have run and which are pending')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const { applied, pending } = await migrationStatus(await runOptions());
      if (json) {
        printJson({
          applied: applied.map(({ name, appliedAt, hash }) => ({ name, appliedAt, hash })),
          pending: pending.map(({ name, hash }) => ({ name, hash })),
        });
        return;
      }
      print(
        table(
          ['step', 'applied'],
          [
            ...applied.map(({ name, appliedAt }) => [name, appliedAt]),
            ...pending.map(({ name }) => [name, 'pending']),
          ],
        ),
      );
      if (pending.length > 0) print(`\n${count(pending.length, 'step')} pending: rolecall migrate up`);
    });
}

async function runOptions(): Promise<RunOptions> {
  const { databaseUrl } = loadConfig(['database']);
  return { url: databaseUrl.reveal(), steps: await readSteps(), onProgress: progress };
}

function readCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new RolecallError('invalid_input', 'the number of steps is 1 or more');
  return Number(text);
}
