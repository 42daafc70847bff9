import { Command, CommanderError } from 'commander';
import { ConfigurationError } from '../config/env.ts';
import { RolecallError } from '../domain/errors.ts';
import { addAdmin } from './commands/admin.ts';
import { addDev } from './commands/dev.ts';
import { addDiff } from './commands/diff.ts';
import { addDoctor } from './commands/doctor.ts';
import { addJournal } from './commands/journal.ts';
import { addKeys } from './commands/keys.ts';
import { addMatrix } from './commands/matrix.ts';
import { addMigrate } from './commands/migrate.ts';
import { addRls } from './commands/rls.ts';
import { addServe } from './commands/serve.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { complain } from './output.ts';
import { readVersion } from './release.ts';

/** Runs one command line and resolves to its exit code. Every failure is loud and has a code other than 0. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const program = new Command('rolecall')
    .description('who may do what, where, now')
    .version(readVersion())
    .showHelpAfterError()
    .exitOverride();
  for (const add of [
    addDev,
    addServe,
    addMigrate,
    addMatrix,
    addKeys,
    addJournal,
    addDiff,
    addAdmin,
    addRls,
    addDoctor,
  ])
    add(program);
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    complain(explain(error));
    return exitCodeOf(error);
  }
}

function explain(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  if (error instanceof RolecallError) {
    const nearest = error.didYouMean ? `; did you mean ${error.didYouMean.join(' or ')}?` : '';
    return `rolecall: ${error.message}${nearest}`;
  }
  return `rolecall: ${error instanceof Error ? error.message : String(error)}`;
}
