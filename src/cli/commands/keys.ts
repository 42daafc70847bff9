import type { Command } from 'commander';
import { parseRoleKey, parseUserId } from '../../domain/ids.ts';
import { accepted } from '../arguments.ts';
import { operate } from '../operate.ts';
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
      const { value } = await operate(timeoutMs, ({ apiKeys }, call) => apiKeys.provision(call, user, role));
      if (options.json) return printJson({ key: value.key, id: value.id, user: value.user });
      progress('This is the only time the key is shown:');
      print(value.key ?? '');
    });
}
