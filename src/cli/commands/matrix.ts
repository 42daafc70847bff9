import { type Command, CommanderError, Option } from 'commander';
import { builtinLayer } from '../../domain/matrix/builtin.ts';
import { parseMatrixFiles } from '../../domain/matrix/parse.ts';
import { describeTwins, nearTwins } from '../../domain/matrix/twins.ts';
import type { Intent } from '../../services/matrix/matrix.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMatrix, readMatrixTexts, shippedBaseline } from '../matrix-files.ts';
import { brief, describePlan, full } from '../matrix-report.ts';
import { type ApplyOptions, acceptOption, matrixTimeoutMs, reviewAndApply } from '../matrix-review.ts';
import { operate } from '../operate.ts';
import { count, print, printJson } from '../output.ts';
import { readPlanFile, writePlanFile } from '../plan-files.ts';
import { addMatrixCodegen } from './matrix-codegen.ts';
import { addMatrixRecord } from './matrix-record.ts';
import { addMatrixTest } from './matrix-test.ts';

interface PlanOptions {
  readonly file: string;
  readonly accept?: Intent['accept'];
  readonly full?: true;
  readonly out?: string;
  readonly exitCode?: true;
  readonly json?: true;
}

const fileOption = () =>
  new Option('--file <path>', 'the baseline; layers are in the folder `layers` beside it').default(
    shippedBaseline,
  );

export function addMatrix(program: Command): void {
  const matrix = program.command('matrix').description('roles and permissions as code');

  matrix
    .command('validate')
    .description('check the files; needs no database')
    .addOption(fileOption())
    .option('--json', 'print JSON')
    .action(async ({ file, json }: { file: string; json?: true }) => {
      const { layers, acknowledged } = await readMatrix(file);
      const permissions = layers.flatMap((layer) => layer.permissions);
      const twins = nearTwins(permissions, acknowledged);
      if (json) printJson({ layers: layers.map(({ id, contentHash }) => ({ id, contentHash })), twins });
      else {
        for (const pair of twins) print(`worth a look: ${describeTwins(pair)}`);
        const roles = new Set(layers.flatMap((layer) => layer.roles.map(({ key }) => key)));
        print(
          `The files are sound: ${count(layers.length, 'layer')}, ${count(permissions.length, 'permission')}, ${count(roles.size, 'role')}.`,
        );
      }
    });

  matrix
    .command('plan')
    .description('what applying would change, and who gains and loses what; changes nothing')
    .addOption(fileOption())
    .addOption(acceptOption())
    .option('--full', 'name everybody and everything')
    .option('--out <path>', 'keep the plan, to apply exactly it; it names people')
    .option('--exit-code', `exit with ${exitCodes.changes} if there is something to apply`)
    .option('--json', 'print JSON')
    .action(async ({ file, accept, full: isFull, out, exitCode, json }: PlanOptions) => {
      const texts = await readMatrixTexts(file);
      const { layers, acknowledged } = parseMatrixFiles(texts, builtinLayer);
      const plan = await operate(matrixTimeoutMs, ({ matrix }, call) =>
        matrix.plan(call, { layers, accept, acknowledged }),
      );
      // As they were planned: somebody may have edited them meanwhile.
      if (out !== undefined) await writePlanFile(out, texts, accept, plan);
      if (json) printJson(plan);
      else print(describePlan(plan, isFull ? full : brief));
      if (exitCode && !plan.isEmpty)
        throw new CommanderError(exitCodes.changes, 'rolecall.changes', 'there is something to apply');
    });

  matrix
    .command('apply')
    .description('make the database say what the files say, in one transaction')
    .argument(
      '[plan]',
      'a plan that was kept with `plan --out`; without one it is made, shown and asked about',
    )
    .addOption(fileOption())
    .addOption(acceptOption())
    .option('--allow-loss', 'go on though somebody loses something')
    .option('--yes', 'do not ask')
    .option('--full', 'name everybody and everything')
    .option('--json', 'print JSON')
    .action(async (planPath: string | undefined, options: ApplyOptions & { file: string }) => {
      if (planPath === undefined) return reviewAndApply(await readMatrix(options.file), options);
      const { plan, ...intent } = await readPlanFile(planPath);
      return reviewAndApply(intent, { ...options, accept: options.accept ?? intent.accept }, plan);
    });

  addMatrixRecord(matrix);
  addMatrixTest(matrix);
  addMatrixCodegen(matrix);
}
