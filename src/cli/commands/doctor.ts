import type { Command } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { ConfigurationError } from '../../config/env.ts';
import { type Finding, problem } from '../../domain/findings.ts';
import { examine } from '../../services/doctor.ts';
import { examineProviders } from '../../services/tokens/provider-findings.ts';
import { readSteps } from '../../storage/migrations/steps.ts';
import { report } from '../findings.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'find what is wrong with the configuration, the database and the identity providers; changes nothing',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const config = readConfiguration();
      // Without a usable database there is nothing more to look at.
      report(
        Array.isArray(config)
          ? config
          : [
              ...(await examine(config.databaseUrl.reveal(), config.journalKey.reveal(), await readSteps())),
              ...(await examineProviders(config.identityProviders)),
            ],
        json,
      );
    });
}

function readConfiguration(): Config<['database', 'journalKey']> | Finding[] {
  try {
    return loadConfig(['database', 'journalKey']);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const fix = 'set it in the environment; the README has the table of variables';
    return error.problems.map((text) => problem('the configuration', text, fix));
  }
}
