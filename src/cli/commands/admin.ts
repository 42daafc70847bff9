import type { Command } from 'commander';
import { parseUserId } from '../../domain/ids.ts';
import type { Purge } from '../../services/personal.ts';
import { accepted } from '../arguments.ts';
import { operate } from '../operate.ts';
import { count, print, printJson, progress } from '../output.ts';

const timeoutMs = 30_000;

export function addAdmin(program: Command): void {
  const admin = program.command('admin').description('what only an operator may do; recorded as such');
  admin
    .command('recover')
    .description('make somebody administrator whatever stands in the way, and a key for them; break-glass')
    .requiredOption(
      '--user <id>',
      'whom; made if absent, reactivated, no longer denied what an administrator does',
    )
    .option('--json', 'print JSON')
    .action(async ({ user, json }: { user: string; json?: true }) => {
      const id = accepted(parseUserId(user));
      const { value } = await operate(timeoutMs, ({ recovery }, call) => recovery.recover(call, id));
      if (json) return printJson({ key: value.key, id: value.id, user: value.user });
      progress('This is the only time the key is shown:');
      print(value.key ?? '');
    });
  admin
    .command('new-epoch')
    .description(
      'say that history was cut, after a restore or a change by hand: empties every copy in memory',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const { lostAfter } = await operate(timeoutMs, ({ epochs }, call) => epochs.declare(call));
      if (json) printJson({ lostAfter });
      else
        print(
          `A new epoch began. Up to ${lostAfter} everything stands; later revisions of the old epoch are refused.`,
        );
    });
  admin
    .command('purge-personal')
    .description('erase personal values from the journal that are older than personal_retention_days allows')
    .option('--dry-run', 'count them, erase none')
    .option('--json', 'print JSON')
    .action(async ({ dryRun = false, json }: { dryRun?: boolean; json?: true }) => {
      const purge = await operate(timeoutMs, ({ personal }, call) => personal.purge({ ...call, dryRun }));
      if (json) printJson({ dryRun, ...purge });
      else print(said(purge, dryRun));
    });
}

function said({ retentionDays, values }: Purge, dryRun: boolean): string {
  if (retentionDays === null)
    return 'Personal values are kept for good: the setting personal_retention_days is not set.';
  const what = `${count(values, 'personal value')} older than ${count(retentionDays, 'day')}`;
  return dryRun ? `Would erase ${what}.` : `Erased ${what}.`;
}
