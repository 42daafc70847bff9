import { type Command, CommanderError } from 'commander';
import { RolecallError } from '../../domain/errors.ts';
import { parseRoleKey } from '../../domain/ids.ts';
import { baselineId, reservedIds } from '../../domain/matrix/file-header.ts';
import { renderLayer } from '../../domain/matrix/render-layer.ts';
import { exitCodes } from '../exit-codes.ts';
import { describeChanges, describeDeviation, describeProvenance, full } from '../matrix-report.ts';
import { type ApplyOptions, acceptOption, matrixTimeoutMs, reviewAndApply } from '../matrix-review.ts';
import { writeNewFile } from '../new-file.ts';
import { operate } from '../operate.ts';
import { count, print, printJson, progress } from '../output.ts';

/** What became of the matrix: what people changed past it, and what was applied when. */
export function addMatrixRecord(matrix: Command): void {
  matrix
    .command('drift')
    .description('what is other than the matrix as it was applied, who changed it and when')
    .option('--exit-code', `exit with ${exitCodes.changes} if there is any`)
    .option('--json', 'print JSON')
    .action(async ({ exitCode, json }: { exitCode?: true; json?: true }) => {
      const { deviations, tampering } = await operate(matrixTimeoutMs, ({ matrixRecord }, call) =>
        matrixRecord.drift(call),
      );
      if (json) printJson({ deviations, tampering });
      else {
        for (const one of deviations) print(describeDeviation(one));
        for (const line of describeChanges(tampering, full))
          print(`changed past the service, applying again would do: ${line}`);
        print(
          deviations.length + tampering.length === 0
            ? 'No drift: what is live is what was applied.'
            : `${count(deviations.length, 'change')} by people, ${tampering.length} past the service.`,
        );
      }
      if (exitCode && deviations.length + tampering.length > 0)
        throw new CommanderError(exitCodes.changes, 'rolecall.drift', 'there is drift');
    });

  matrix
    .command('pull')
    .description('write the layer that would declare what people changed')
    .option('--id <id>', 'what the layer is called; left out, pulled, or pulled_2 and so on')
    .option('--out <path>', 'a new file to write it to, for example matrix/layers/pulled.yaml')
    .action(async ({ id: wanted, out }: { id?: string; out?: string }) => {
      const { deviations, layers } = await operate(matrixTimeoutMs, ({ matrixRecord }, call) =>
        matrixRecord.drift(call),
      );
      if (deviations.length === 0) return progress('No drift: there is nothing to declare.');
      const id = wanted ?? freeId(layers);
      const fault = faultOfLayerId(id, layers);
      if (fault !== undefined) throw new RolecallError('invalid_input', `--id ${id}: ${fault}`);
      const dependsOn = layers.filter((layer) => layer !== baselineId);
      const text = renderLayer(
        id,
        dependsOn,
        deviations.map((deviation) => ({ deviation, remark: describeProvenance(deviation.changed) })),
      );
      if (out === undefined) return print(text.trimEnd());
      await writeNewFile(out, text);
      return progress(`Wrote ${out}: review it, then \`rolecall matrix plan\`.`);
    });

  matrix
    .command('history')
    .description('which matrix was applied when and by whom, newest first')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const versions = await operate(matrixTimeoutMs, ({ matrixRecord }, call) => matrixRecord.history(call));
      if (json) return printJson(versions);
      for (const { revision, changed, applied, removed } of versions) {
        const layers = applied.map(({ layer, contentHash }) => `${layer} ${contentHash.slice(0, 12)}`);
        const gone = removed.map((layer) => `without ${layer}`);
        print(`${revision}  ${describeProvenance(changed)}: ${[...layers, ...gone].join(', ')}`);
      }
      return undefined;
    });

  matrix
    .command('rollback')
    .description('apply the matrix as it stood before the last application; the files stay as they are')
    .option('--to <revision>', 'as it stood at a revision of `history`')
    .addOption(acceptOption())
    .option('--allow-loss', 'go on though somebody loses something')
    .option('--yes', 'do not ask')
    .option('--full', 'name everybody and everything')
    .option('--json', 'print JSON')
    .action(async (options: ApplyOptions & { to?: string }) => {
      const layers = await operate(matrixTimeoutMs, ({ matrixRecord }, call) =>
        matrixRecord.layersAt(call, options.to),
      );
      await reviewAndApply({ layers }, options);
      progress('The files still say otherwise: change them too, or the next apply undoes this.');
    });
}

/** A name for the layer that none of these has. */
function freeId(layers: readonly string[]): string {
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? 'pulled' : `pulled_${number}`;
    if (!layers.includes(id)) return id;
  }
}

/** Why a layer beside these cannot be called so; undefined if it can. */
function faultOfLayerId(id: string, layers: readonly string[]): string | undefined {
  if (!parseRoleKey(id).ok) return 'words joined by "_" or "-"';
  if (reservedIds.includes(id)) return 'this id is reserved';
  return layers.includes(id) ? 'a layer of this id is applied already' : undefined;
}
