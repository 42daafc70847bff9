import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { RolecallError } from '../../domain/errors.ts';
import { migrateDown } from '../../storage/migrations/down.ts';
import { planUp, printPlan } from '../../storage/migrations/plan.ts';
import { repairLedger } from '../../storage/migrations/repair.ts';
import type { RunOptions } from '../../storage/migrations/session.ts';
import { migrationHistory, migrationStatus } from '../../storage/migrations/status.ts';
import { readSteps } from '../../storage/migrations/steps.ts';
import { migrateUp } from '../../storage/migrations/up.ts';
import { isWhole, verifyDatabase } from '../../storage/migrations/verify.ts';
import { count, print, printJson, progress, table } from '../output.ts';
import { addMigrateFiles } from './migrate-files.ts';
import { planTable, verificationText } from './migrate-reports.ts';

interface JsonOption {
  readonly json?: boolean;
}

interface DownOptions extends JsonOption {
  readonly to?: string;
  readonly dryRun?: boolean;
  readonly destroy?: boolean;
  readonly backupRef?: string;
}

export function addMigrate(program: Command): void {
  const migrate = program.command('migrate').description('bring the database to what this release expects');

  migrate
    .command('up')
    .description('run every pending step; safe to start from any number of processes at once')
    .option('--to <step>', 'the last step to run, by name or number')
    .option('--dry-run', 'do it all in one transaction, say what came of it, and take it back')
    .option('--json', 'print JSON')
    .action(async ({ to, dryRun = false, json }: JsonOption & { to?: string; dryRun?: boolean }) => {
      const applied = await migrateUp({ ...(await runOptions()), dryRun }, to);
      if (json) printJson({ applied, dryRun });
      else
        print(
          applied.length > 0
            ? `${dryRun ? 'Would apply' : 'Applied'} ${count(applied.length, 'step')}.`
            : 'Nothing to do: the database is up to date.',
        );
    });

  migrate
    .command('down')
    .description('undo the newest steps; what they hold is kept and comes back with `up`')
    .argument('[count]', 'how many; 1 if left out', readCount)
    .option('--to <step>', 'undo what came after this step')
    .option('--dry-run', 'do it all in one transaction, say what came of it, and take it back')
    .option('--destroy', 'lose what the steps hold instead of keeping it')
    .option('--backup-ref <text>', 'with --destroy: the backup that has it')
    .option('--json', 'print JSON')
    .action(async (steps: number | undefined, { to, dryRun = false, json, ...options }: DownOptions) => {
      if (steps !== undefined && to !== undefined)
        throw new RolecallError('invalid_input', 'say how many steps or --to, not both');
      const undone = await migrateDown(
        { ...(await runOptions()), dryRun, ...readDestroy(options) },
        to ?? steps ?? 1,
      );
      const did = dryRun ? 'Would undo' : 'Undid';
      if (json) printJson({ undone, dryRun });
      else print(undone.length > 0 ? `${did} ${count(undone.length, 'step')}.` : 'Nothing to undo.');
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

  migrate
    .command('history')
    .description('show every time that a step went up or down')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const history = await migrationHistory(await runOptions());
      if (json) printJson({ history });
      else
        print(
          table(
            ['time', 'step', 'what', 'revision'],
            history.map(({ time, step, what, revision }) => [time, step, what, String(revision ?? '-')]),
          ),
        );
    });

  migrate
    .command('plan')
    .description(
      'show what `up` would run: statements, the locks they take, and what rewrites or reads a whole table',
    )
    .option('--to <step>', 'the last step to plan, by name or number')
    .option('--sql', 'print the SQL itself, for psql')
    .option('--json', 'print JSON')
    .action(async ({ to, sql, json }: JsonOption & { to?: string; sql?: boolean }) => {
      const plan = await planUp(await runOptions(), to);
      if (json) printJson(plan);
      else if (sql) print(printPlan(plan));
      else print(planTable(plan));
    });

  migrate
    .command('verify')
    .description('compare the database with what its newest step promises; exits with 2 if anything differs')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const { databaseUrl, journalKey } = loadConfig(['database', 'journalKey']);
      const options = {
        url: databaseUrl.reveal(),
        journalKey: journalKey.reveal(),
        steps: await readSteps(),
      };
      const found = await verifyDatabase(options);
      if (json) printJson({ whole: isWhole(found), ...found });
      else print(verificationText(found));
      if (!isWhole(found))
        throw new RolecallError('migration_refused', 'the database is not what it promises to be');
    });

  migrate
    .command('repair')
    .description('make the ledger say what the database proves; refuses what it cannot prove')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const repaired = await repairLedger(await runOptions());
      if (json) printJson({ repaired });
      else print(repaired.length > 0 ? repaired.join('\n') : 'Nothing to do: the ledger says what is there.');
    });

  addMigrateFiles(migrate);
}

async function runOptions(): Promise<RunOptions> {
  const { databaseUrl, journalKey } = loadConfig(['database']);
  return {
    url: databaseUrl.reveal(),
    steps: await readSteps(),
    onProgress: progress,
    ...(journalKey ? { journalKey: journalKey.reveal() } : {}),
  };
}

/** Losing data needs both: the word, and where it still is. */
function readDestroy({ destroy, backupRef }: DownOptions): { destroy?: { backupRef: string } } {
  if (Boolean(destroy) !== Boolean(backupRef?.trim()))
    throw new RolecallError(
      'invalid_input',
      '--destroy and --backup-ref go together: losing data needs a backup that has it',
    );
  return destroy && backupRef ? { destroy: { backupRef } } : {};
}

function readCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new RolecallError('invalid_input', 'the number of steps is 1 or more');
  return Number(text);
}
