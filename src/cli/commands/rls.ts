import type { Command } from 'commander';
import type postgres from 'postgres';
import { loadConfig } from '../../config/config.ts';
import { asOperator } from '../../storage/operator.ts';
import { installRowLevel, uninstallRowLevel } from '../../storage/row-level/install.ts';
import { lintRowLevel } from '../../storage/row-level/lint.ts';
import { report } from '../findings.ts';
import { print, printJson } from '../output.ts';

interface JsonOption {
  readonly json?: boolean;
}

export function addRls(program: Command): void {
  const rls = program
    .command('rls')
    .description('row-level security: database roles for the owner, the service and neighbours that ask');

  rls
    .command('install')
    .description(
      'make the roles that are missing and give each exactly what it needs; run again after migrate up',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const done = await onDatabase('read write', installRowLevel);
      if (json) printJson(done);
      else {
        print(done.made.length > 0 ? `Made ${done.made.join(', ')}.` : 'The roles are there.');
        print(
          done.granted
            ? 'Gave each role what it needs. Check with: rolecall rls lint'
            : 'There are no tables to grant yet: rolecall migrate up, then install again.',
        );
      }
    });

  rls
    .command('lint')
    .description('find what would let somebody around the row-level security')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => report(await onDatabase('read only', lintRowLevel), json));

  rls
    .command('uninstall')
    .description('take the grants back and remove the roles that nothing else needs')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption) => {
      const done = await onDatabase('read write', uninstallRowLevel);
      if (json) printJson(done);
      else {
        print(done.removed.length > 0 ? `Removed ${done.removed.join(', ')}.` : 'No role to remove.');
        if (done.kept.length > 0)
          print(`Kept ${done.kept.join(', ')}: something outside of this schema still needs them.`);
      }
    });
}

function onDatabase<T>(
  mode: 'read only' | 'read write',
  work: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  return asOperator(loadConfig(['database']).databaseUrl.reveal(), mode, work);
}
