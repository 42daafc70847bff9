import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { RolecallError } from '../../domain/errors.ts';
import { builtinLayer } from '../../domain/matrix/builtin.ts';
import { checkExpectations, type Outcome } from '../../domain/matrix/expectations/check.ts';
import { type Expectation, type Names, parseExpectations } from '../../domain/matrix/expectations/parse.ts';
import { mergeLayers } from '../../domain/matrix/layers.ts';
import { vocabularyOf } from '../../domain/matrix/references.ts';
import { coverageText, reasonsOf, sentenceOf } from '../expectation-report.ts';
import { junitOf } from '../junit.ts';
import { readMatrix, shippedBaseline } from '../matrix-files.ts';
import { count, print, printJson } from '../output.ts';

interface TestOptions {
  readonly file: string;
  readonly junit?: string;
  readonly json?: true;
}

/** Adds `test` to the commands of the matrix. */
export function addMatrixTest(matrix: Command): void {
  matrix
    .command('test')
    .description('hold the files to what tests say somebody can and cannot do; needs no database')
    .argument(
      '[paths...]',
      'files of tests, or folders of them; the folder `tests` beside the baseline if left out',
    )
    .option('--file <path>', 'the baseline; layers are in the folder `layers` beside it', shippedBaseline)
    .option('--junit <path>', 'write the outcome as JUnit XML too')
    .option('--json', 'print JSON')
    .action(async (paths: readonly string[], { file, junit, json }: TestOptions) => {
      const { layers } = await readMatrix(file);
      const merged = mergeLayers([builtinLayer, ...layers]);
      const declared = layers.flatMap(({ permissions }) => permissions);
      const names = {
        roles: new Set<string>(merged.roles.keys()),
        permissions: vocabularyOf(declared, builtinLayer.permissions),
      };
      const asked = paths.length > 0 ? paths : [join(dirname(file), 'tests')];
      const tests = await readTests(asked, names);
      const { outcomes, coverage } = checkExpectations(merged, [...tests.values()].flat());
      if (junit !== undefined) await writeFile(junit, junitOf(groupedBy(tests, outcomes)));
      const failures = outcomes.filter(({ explanation }) => explanation !== null);
      if (json) printJson({ tests: outcomes.length, failures: failures.map(shown), coverage });
      else {
        for (const { place, expected, reasons } of failures.map(shown))
          print(`${place} ${expected}: it is not so\n${reasons.map((reason) => `  ${reason}\n`).join('')}`);
        for (const role of coverage.roles) print(`${role.role}: ${role.covered} of ${role.cells}`);
        print(`${count(outcomes.length, 'expectation')} about ${coverageText(coverage)}.`);
      }
      if (failures.length > 0)
        throw new RolecallError(
          'matrix_invalid',
          `${failures.length} of ${count(outcomes.length, 'expectation')} not met`,
        );
    });
}

/** What each file expects. Throws `matrix_invalid` with the faults of every file, or if nothing is expected at all. */
async function readTests(
  paths: readonly string[],
  names: Names,
): Promise<ReadonlyMap<string, readonly Expectation[]>> {
  const found = (await Promise.all(paths.map(filesAt))).flat();
  const tests = new Map<string, readonly Expectation[]>();
  const faults: RolecallError[] = [];
  for (const path of new Set(found))
    try {
      tests.set(path, parseExpectations(path, await readFile(path, 'utf8'), names));
    } catch (error) {
      if (!(error instanceof RolecallError)) throw error;
      faults.push(error);
    }
  if (faults.length > 0)
    throw new RolecallError('matrix_invalid', faults.map(({ message }) => message).join('\n'));
  if ([...tests.values()].flat().length === 0)
    throw new RolecallError('matrix_invalid', `no tests in ${paths.join(', ')}: nothing was shown`);
  return tests;
}

/** The file itself, or the YAML files of a folder in the order of their names. */
async function filesAt(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = await readdir(path);
    return names
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new RolecallError('matrix_invalid', `cannot read ${path}: ${code ?? 'unknown reason'}`);
  }
}

function groupedBy(
  tests: ReadonlyMap<string, readonly Expectation[]>,
  outcomes: readonly Outcome[],
): ReadonlyMap<string, readonly Outcome[]> {
  const byExpectation = new Map(outcomes.map((outcome) => [outcome.expectation, outcome]));
  return new Map(
    [...tests].map(([path, expectations]) => [
      path,
      expectations.flatMap((expectation) => byExpectation.get(expectation) ?? []),
    ]),
  );
}

function shown({ expectation, explanation }: Outcome) {
  const reasons = explanation === null ? [] : reasonsOf(explanation);
  return { place: expectation.place, expected: sentenceOf(expectation), reasons };
}
