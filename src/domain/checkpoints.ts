import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { Parsed } from './ids.ts';
import { canonicalJson } from './journal-entries.ts';

/**
 * Where the journal ended when somebody looked. Kept away from the database, it shows later that nothing before it was
 * exchanged or cut off, which no chain can show of its own end.
 */
export interface Checkpoint {
  /** As tokens write it. */
  readonly revision: string;
  /** The last entry of that revision. */
  readonly number: number;
  /** The time of that revision: UTC with microseconds. */
  readonly time: string;
  /** The seal of that entry, in hexadecimal digits. */
  readonly seal: string;
}

/** The checkpoint as a file, signed with a key that is derived from the journal's. */
export function formatCheckpoint(journalKey: string, checkpoint: Checkpoint): string {
  const content = { rolecall: 'checkpoint', ...checkpoint };
  return `${JSON.stringify({ ...content, signature: signatureOf(journalKey, checkpoint) }, null, 2)}\n`;
}

export function parseCheckpoint(journalKey: string, text: string): Parsed<Checkpoint> {
  const read = readJson(text);
  const { rolecall, revision, number, time, seal, signature } = read;
  const isOne =
    rolecall === 'checkpoint' &&
    typeof revision === 'string' &&
    typeof number === 'number' &&
    typeof time === 'string' &&
    typeof seal === 'string' &&
    typeof signature === 'string';
  if (!isOne) return { ok: false, why: 'this is no checkpoint that `rolecall journal checkpoint` wrote' };
  const checkpoint = { revision, number, time, seal };
  const due = Buffer.from(signatureOf(journalKey, checkpoint));
  const given = Buffer.from(signature);
  if (due.length !== given.length || !timingSafeEqual(due, given))
    return { ok: false, why: 'the checkpoint was altered, or made with another ROLECALL_JOURNAL_KEY' };
  return { ok: true, value: checkpoint };
}

function signatureOf(journalKey: string, { revision, number, time, seal }: Checkpoint): string {
  const key = Buffer.from(hkdfSync('sha256', journalKey, '', 'rolecall checkpoint', 32));
  return createHmac('sha256', key).update(canonicalJson({ revision, number, time, seal })).digest('hex');
}

function readJson(text: string): Readonly<Record<string, unknown>> {
  try {
    return { ...(JSON.parse(text) as object) };
  } catch {
    return {};
  }
}
