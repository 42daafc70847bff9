import { writeFileSync } from 'node:fs';
import { authorizeCases } from './cases/authorize.ts';
import { batchCases } from './cases/batch.ts';
import { evaluatorCases } from './cases/evaluator.ts';
import { grantCases } from './cases/grants.ts';
import { matrixCases } from './cases/matrix.ts';
import { memoryCases } from './cases/memory.ts';
import { permissionCases } from './cases/permissions.ts';
import { startCases } from './cases/start.ts';
import { storedCases } from './cases/stored.ts';
import { sweepCases } from './cases/sweep.ts';
import type { Figure } from './figures.ts';
import { claimCores, describeHost, projectRoot } from './host.ts';
import { type Options, readOptions } from './options.ts';
import { notesOf, resultsFile, tableOf } from './report.ts';
import { openStage, type Stage } from './stage.ts';

/** One subject of measurement. Throws when something went wrong that must not happen; a slow figure is not that. */
export interface Case {
  readonly name: string;
  measure(stage: Stage): Promise<readonly Figure[]>;
}

const cases: readonly Case[] = [
  ...authorizeCases,
  ...batchCases,
  ...permissionCases,
  ...evaluatorCases,
  ...storedCases,
  ...memoryCases,
  ...startCases,
  ...grantCases,
  ...matrixCases,
  ...sweepCases,
];

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const chosen = chooseCases(options);
  const cores = claimCores();
  const stage = await openStage(options, cores);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => stage.close().then(() => process.exit(1), fail));
  const figures: Figure[] = [];
  const failures: string[] = [];
  try {
    for (const { name, measure } of chosen)
      await measure(stage).then(
        (made) => figures.push(...made),
        (error: Error) => failures.push(`${name}: ${error.message}`),
      );
  } finally {
    await stage.close();
  }
  const host = describeHost(cores);
  if (options.json) print(JSON.stringify({ host, figures, failures }, null, 2));
  else print(`${host.join('\n')}\n\n${tableOf(figures)}\n\n${notesOf(figures)}`);
  for (const failure of failures) stage.say(`FAILED ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
  else if (isWhole(options))
    writeFileSync(new URL('bench/RESULTS.md', projectRoot), resultsFile(figures, host, 'npm run bench'));
}

/** Only figures of a whole run are kept. */
function isWhole({ quick, only }: Options): boolean {
  return !quick && only.length === 0;
}

function chooseCases({ only }: Options): readonly Case[] {
  const chosen = cases.filter(
    ({ name }) => only.length === 0 || only.some((start) => name.startsWith(start)),
  );
  if (chosen.length === 0)
    throw new Error(
      `There is no case ${only.join(', ')}. There are: ${cases.map(({ name }) => name).join(', ')}.`,
    );
  return chosen;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

await main().catch(fail);
