import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { createLogger } from '../../observability/logger.ts';
import { openRuntime } from '../../runtime.ts';
import { operatorCall } from '../../services/call.ts';
import { print, printJson } from '../output.ts';

const timeoutMs = 30_000;

export function addAdmin(program: Command): void {
  const admin = program.command('admin').description('what only an operator may do; recorded as such');
  admin
    .command('new-epoch')
    .description(
      'say that history was cut, after a restore or a change by hand: empties every copy in memory',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const logger = createLogger('warn', process.stderr);
      const runtime = await openRuntime(loadConfig(['database', 'journalKey']), logger);
      try {
        const { lostAfter } = await runtime.epochs.declare(operatorCall(timeoutMs));
        if (json) printJson({ lostAfter });
        else
          print(
            `A new epoch began. Up to ${lostAfter} everything stands; later revisions of the old epoch are refused.`,
          );
      } finally {
        await runtime.close();
      }
    });
}
