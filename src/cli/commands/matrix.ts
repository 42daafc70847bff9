import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { createLogger } from '../../observability/logger.ts';
import { openRuntime } from '../../runtime.ts';
import { operatorCall } from '../../services/call.ts';
import { readMatrixFile, shippedBaseline } from '../matrix-files.ts';
import { count, print, printJson } from '../output.ts';

/** A matrix may have thousands of edges; nothing else waits for this command but other writes. */
const applyTimeoutMs = 60_000;

export function addMatrix(program: Command): void {
  const matrix = program.command('matrix').description('roles and permissions as code');

  matrix
    .command('apply')
    .description('make the database say what the matrix file says, in one transaction')
    .option('--file <path>', 'the baseline to apply', shippedBaseline)
    .option('--json', 'print JSON')
    .action(async ({ file, json }: { file: string; json?: boolean }) => {
      const layer = await readMatrixFile(file);
      const runtime = await openRuntime(
        loadConfig(['database', 'journalKey']),
        createLogger('warn', process.stderr),
      );
      try {
        const { value, revision, changed } = await runtime.matrix.apply(operatorCall(applyTimeoutMs), [
          layer,
        ]);
        if (json) printJson({ changed, revision, changes: value });
        else
          print(
            changed ? `Applied ${count(value.length, 'change')}.` : 'Nothing to do: the matrix is applied.',
          );
      } finally {
        await runtime.close();
      }
    });
}
