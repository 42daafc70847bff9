import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { csvLine } from '../domain/csv.ts';
import { RolecallError } from '../domain/errors.ts';
import { parseMoment } from '../domain/moments.ts';
import { shownEntry } from '../services/journal.ts';
import type { Sql } from '../storage/database.ts';
import { type JournalRow, journalRowsFrom, revisionAt } from '../storage/read-models/journal-rows.ts';
import { cannotWrite } from './new-file.ts';

export const exportFormats = ['ndjson', 'csv'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly out?: string;
  readonly from?: string;
  readonly to?: string;
}

/** Writes the rows as they are read, no faster than they are taken. Needs one snapshot. Returns how many there were. */
export async function exportJournal(
  sql: Sql,
  { format, out, from, to }: ExportOptions,
  noteRows: (rows: number) => void,
): Promise<number> {
  const after = from === undefined ? 0 : await revisionBefore(sql, from);
  const upTo = to === undefined ? Number.MAX_SAFE_INTEGER : await revisionAt(sql, timeIn(to));
  const target = out === undefined ? process.stdout : createWriteStream(out, { flags: 'wx', mode: 0o600 });
  let rows = 0;
  async function* written() {
    if (format === 'csv') yield csvLine(columns);
    for await (const batch of journalRowsFrom(sql, after, upTo)) {
      yield batch.map(format === 'csv' ? csvOf : ndjsonOf).join('');
      rows += batch.length;
      noteRows(rows);
    }
  }
  await pipeline(written, target, { end: out !== undefined }).catch(async (error: NodeJS.ErrnoException) => {
    // Half a record looks like a whole one; what was there before stays.
    if (out !== undefined && error.code !== 'EEXIST') await rm(out, { force: true }).catch(() => {});
    // Whoever reads it has had enough.
    if (out === undefined && error.code === 'EPIPE') return;
    const isOfFile = out !== undefined && ['open', 'write'].includes(error.syscall ?? '');
    throw isOfFile ? cannotWrite(out, error) : error;
  });
  return rows;
}

const columns = [
  'revision',
  'number',
  'time',
  'kind',
  'actor_kind',
  'actor',
  'key',
  'issuer',
  'request_id',
  'user',
  'erased',
  'before',
  'after',
  'personal',
  'acted_for',
  'through',
] as const;

function csvOf(row: JournalRow): string {
  const shown = shownEntry(row);
  const text = (value: unknown) => (value === null ? null : JSON.stringify(value));
  return csvLine([
    shown.revision,
    shown.number,
    shown.time,
    shown.kind,
    shown.actor.kind,
    shown.actor.user,
    shown.actor.key,
    shown.actor.issuer ?? null,
    shown.requestId,
    shown.user,
    String(shown.erased),
    text(shown.before),
    text(shown.after),
    text(shown.personal),
    String('through' in shown.actor),
    shown.actor.through ?? null,
  ]);
}

function ndjsonOf(row: JournalRow): string {
  return `${JSON.stringify(shownEntry(row))}\n`;
}

function timeIn(text: string): string {
  const parsed = parseMoment(text);
  if (parsed.ok && 'time' in parsed.value) return parsed.value.time;
  throw new RolecallError('invalid_input', `"${text}" is no time: say it as 2027-01-31T12:00:00Z`);
}

async function revisionBefore(sql: Sql, from: string): Promise<number> {
  const [row] = await sql<[{ time: string }]>`
    select to_char((${timeIn(from)}::text::timestamptz - interval '1 microsecond') at time zone 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`;
  return revisionAt(sql, row.time);
}
