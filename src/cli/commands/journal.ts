import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { loadConfig } from '../../config/config.ts';
import type { Secret } from '../../config/secrets.ts';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../../domain/checkpoints.ts';
import { RolecallError } from '../../domain/errors.ts';
import { verifyChain } from '../../storage/chain.ts';
import { faultAgainst, readCheckpoint } from '../../storage/checkpoints.ts';
import { connectionWasLost, toRolecallError } from '../../storage/errors.ts';
import { asOperator } from '../../storage/operator.ts';
import { type ExportFormat, exportFormats, exportJournal } from '../journal-export.ts';
import { writeNewFile } from '../new-file.ts';
import { count, print, printJson, progress } from '../output.ts';

const everySoMany = 100_000;

/** On one snapshot. Throws `not_ready` where there is no journal, `unavailable` where the database goes away. */
async function readAsOperator<T>(url: Secret, read: Parameters<typeof asOperator<T>>[2]): Promise<T> {
  return asOperator(url.reveal(), 'one snapshot', read).catch((error: unknown) => {
    const known = toRolecallError(error);
    throw known.code === 'not_ready' || connectionWasLost(error) ? known : error;
  });
}

export function addJournal(program: Command): void {
  const journal = program.command('journal').description('the record of every change');

  journal
    .command('verify')
    .description(
      'follow the chain from its beginning to its end; names the first entry that is not as it was sealed',
    )
    .option(
      '--checkpoint <file...>',
      'what `journal checkpoint` wrote before: finds also an end that was cut off',
    )
    .option('--json', 'print JSON')
    .action(async ({ checkpoint: files = [], json }: { checkpoint?: string[]; json?: true }) => {
      const { databaseUrl, journalKey } = loadConfig(['database', 'journalKey']);
      const checkpoints = await Promise.all(
        files.map((file) => readCheckpointFile(journalKey.reveal(), file)),
      );
      const { rows, faults } = await readAsOperator(databaseUrl, async (sql) => {
        const chain = await verifyChain(sql, journalKey.reveal(), { noteRows: tellRows() });
        const against = [];
        for (const one of checkpoints) against.push(await faultAgainst(sql, one));
        return { rows: chain.rows, faults: [chain.broken, ...against].filter((fault) => fault !== null) };
      });
      if (json) printJson({ whole: faults.length === 0, entries: rows, faults });
      else if (faults.length === 0) print(`The journal is whole: ${count(rows, 'row')}.`);
      if (faults.length > 0)
        throw new RolecallError('not_ready', `the journal is not whole: ${faults.join('; ')}`);
    });

  journal
    .command('checkpoint')
    .description(
      'write down, signed, where the journal ends: to be kept where whoever has the database cannot reach it',
    )
    .option('--out <file>', 'where to; left out, it is printed')
    .action(async ({ out }: { out?: string }) => {
      const { databaseUrl, journalKey } = loadConfig(['database', 'journalKey']);
      const checkpoint = await readAsOperator(databaseUrl, readCheckpoint);
      const text = formatCheckpoint(journalKey.reveal(), checkpoint);
      if (out === undefined) print(text.trimEnd());
      else {
        await writeNewFile(out, text);
        progress(`Wrote ${out}: the journal up to ${checkpoint.revision} of ${checkpoint.time}.`);
      }
    });

  journal
    .command('export')
    .description('write the whole record, oldest first, without what was erased')
    .addOption(new Option('--format <format>', 'how').choices(exportFormats).default('ndjson'))
    .option('--out <file>', 'where to; left out, to stdout')
    .option('--from <time>', 'not before this time')
    .option('--to <time>', 'not after this time')
    .action(async (options: { format: ExportFormat; out?: string; from?: string; to?: string }) => {
      const { databaseUrl } = loadConfig(['database']);
      const rows = await readAsOperator(databaseUrl, (sql) => exportJournal(sql, options, tellRows()));
      progress(`Wrote ${count(rows, 'row')}.`);
    });
}

async function readCheckpointFile(journalKey: string, file: string): Promise<Checkpoint> {
  const parsed = parseCheckpoint(journalKey, await readFile(file, 'utf8'));
  if (parsed.ok) return parsed.value;
  throw new RolecallError('invalid_input', `${file}: ${parsed.why}`);
}

/** Says from time to time how many rows there were so far. */
function tellRows(): (rows: number) => void {
  let told = 0;
  return (rows) => {
    if (rows - told < everySoMany) return;
    told = rows;
    progress(`${rows} rows`);
  };
}
