import type { Command } from 'commander';
import { parseUserId } from '../../domain/ids.ts';
import { parseMoment } from '../../domain/moments.ts';
import type { AccessDiff } from '../../services/decisions/past-diff.ts';
import { type JournalRow, shownEntry } from '../../services/journal.ts';
import { accepted } from '../arguments.ts';
import { operate } from '../operate.ts';
import { print, printJson } from '../output.ts';

const timeoutMs = 30_000;

export function addDiff(program: Command): void {
  program
    .command('diff')
    .argument('<user>', 'whose access')
    .description('what a user may do at one moment and not at another, and what happened in between')
    .requiredOption('--from <moment>', 'a time as 2027-01-31T12:00:00Z, or a revision')
    .option('--to <moment>', 'the same; left out, now')
    .option('--json', 'print JSON')
    .action(async (id: string, { from, to, json }: { from: string; to?: string; json?: true }) => {
      const user = accepted(parseUserId(id));
      const moments = [
        accepted(parseMoment(from)),
        to === undefined ? null : accepted(parseMoment(to)),
      ] as const;
      const diff = await operate(timeoutMs, ({ pastDiff }, call) => pastDiff.between(call, user, ...moments));
      if (json) printJson({ user, ...diff, changes: diff.changes.map(shownEntry) });
      else printDiff(diff);
    });
}

function printDiff({ from, to, scopes, changes }: AccessDiff): void {
  const moment = ({ revision, at }: AccessDiff['from']) => `${new Date(at).toISOString()} (${revision})`;
  print(`from  ${moment(from)}\nto    ${moment(to)}`);
  if (scopes.length === 0) print('\nThe user may do the same.');
  for (const { scope, gained, lost } of scopes) {
    print(`\n${scope === '' ? 'everywhere' : `in ${scope}`}`);
    for (const slug of gained) print(`  + ${slug}`);
    for (const slug of lost) print(`  - ${slug}`);
  }
  if (changes.length > 0) print('\nwhat happened to the user');
  for (const change of changes) print(`  ${lineOf(change)}`);
}

function lineOf(row: JournalRow): string {
  const { time, kind, actorKind, actor, isActedFor, through, before, after, personal } = row;
  const { role, permission, scope } = { ...(before as object), ...(after as object) } as Record<
    string,
    string
  >;
  const what = [kind, role ?? permission, scope ? `in ${scope}` : undefined].filter(Boolean).join(' ');
  const reason = personal['reason'] === undefined ? '' : `: ${personal['reason']}`;
  const by = `${actor ?? actorKind}${isActedFor ? ` through ${through ?? 'somebody erased'}` : ''}`;
  return `${time}  ${what}, by ${by}${reason}`;
}
