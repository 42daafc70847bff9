import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { RolecallError } from '../../domain/errors.ts';
import { type Parsed, parseRoleKey, parseUserId } from '../../domain/ids.ts';
import { createLogger } from '../../observability/logger.ts';
import { openRuntime } from '../../runtime.ts';
import { operatorCall } from '../../services/call.ts';
import { print, printJson, progress } from '../output.ts';

const timeoutMs = 10_000;

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('API keys');

  keys
    .command('create')
    .description(
      'make a key for a user, who is made if absent; the first administrator of an installation too',
    )
    .requiredOption('--user <id>', 'as whom the key acts')
    .option('--role <key>', 'a role to give the user everywhere')
    .option('--json', 'print JSON')
    .action(async (options: { user: string; role?: string; json?: boolean }) => {
      const user = accepted(parseUserId(options.user));
      const role = options.role === undefined ? null : accepted(parseRoleKey(options.role));
      const runtime = await openRuntime(
        loadConfig(['database', 'journalKey']),
        createLogger('warn', process.stderr),
      );
      try {
        const { value } = await runtime.apiKeys.provision(operatorCall(timeoutMs), user, role);
        if (options.json) printJson({ key: value.key, id: value.id, user: value.user });
        else {
          progress('This is the only time the key is shown:');
          print(value.key ?? '');
        }
      } finally {
        await runtime.close();
      }
    });
}

function accepted<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new RolecallError('invalid_input', parsed.why);
}
